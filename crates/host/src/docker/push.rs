//! Sending an image to its registry.

use super::error::DockerError;
use super::image::{Line, PullProgress, split_reference};
use super::wire::{Call, escape};
use super::{Docker, credentials};

/// What the Engine wants in place of a login: it refuses a push without the header.
const NO_LOGIN: &str = "e30=";

impl Docker {
    /// Pushes `reference` to its registry, with the credentials that `docker login` left, and tells `news` how it
    /// goes.
    ///
    /// # Errors
    /// [`DockerError::ImageMissing`] when there is no such image here, [`DockerError::PushFailed`],
    /// [`DockerError::Credentials`].
    pub async fn push(
        &self,
        reference: &str,
        mut news: impl FnMut(PullProgress) + Send,
    ) -> Result<(), DockerError> {
        let failed = |message: String| DockerError::PushFailed { image: reference.to_owned(), message };
        let (name, version) = split_reference(reference);
        let login = credentials::for_image(self.logins.as_deref(), name).await?;
        let login = login.map_or_else(|| NO_LOGIN.to_owned(), |login| login.header());
        let call = Call::post(format!("/images/{}/push", escape(name)), format!("image {reference}"))
            .query("tag", version)
            .header("x-registry-auth", login)
            .patient();
        let mut answer = self.wire.send(call).await.map_err(|error| match error {
            DockerError::NotFound { .. } | DockerError::ImageMissing { .. } => {
                DockerError::ImageMissing { image: reference.to_owned() }
            }
            DockerError::Refused { message, .. } => failed(message),
            other => other,
        })?;
        while let Some(line) = answer.next_json::<Line>().await? {
            news(line.read().map_err(failed)?);
        }
        Ok(())
    }
}
