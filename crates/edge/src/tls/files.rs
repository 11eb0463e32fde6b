//! Certificates in files that somebody else keeps up to date: read again when they change, and served on as they were
//! while what is there now cannot be used.
//!
//! Knows nothing about who is served.

use super::certificates::{Certificate, CertificateError};
use mainstay_model::CertificateFiles;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// All that the table in force names, in its order.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    files: CertificateFiles,
    /// How the files looked when they were last read.
    stamp: Stamp,
    /// The last that could be used.
    certificate: Option<Certificate>,
}

/// What tells that a file is another than before. A link that is pointed elsewhere counts.
type Stamp = [Option<(u64, i64, i64, u64)>; 2];

impl Files {
    /// From here on these; whether what is served may have changed.
    pub(super) fn want(&mut self, wanted: &[CertificateFiles]) -> bool {
        if self.0.iter().map(|entry| &entry.files).eq(wanted) {
            return self.look_again();
        }
        let mut before = std::mem::take(&mut self.0);
        for files in wanted {
            let known = before.iter().position(|entry| entry.files == *files);
            self.0.push(known.map_or_else(|| Entry::new(files), |place| before.swap_remove(place)));
        }
        self.look_again();
        true
    }

    /// Reads what has changed since; whether anything usable was found.
    pub(super) fn look_again(&mut self) -> bool {
        let changed: Vec<bool> = self.0.iter_mut().map(Entry::look_again).collect();
        changed.contains(&true)
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter().filter_map(|entry| entry.certificate.as_ref())
    }
}

impl Entry {
    fn new(files: &CertificateFiles) -> Self {
        Self { files: files.clone(), stamp: Stamp::default(), certificate: None }
    }

    fn look_again(&mut self) -> bool {
        let CertificateFiles { cert, key } = &self.files;
        let stamp = [cert, key].map(|path| stamp(path));
        if stamp == self.stamp && (self.certificate.is_some() || stamp != Stamp::default()) {
            return false;
        }
        self.stamp = stamp;
        match Certificate::read(cert, key) {
            Ok(certificate) => {
                tracing::info!(file = %cert.display(), "serving the certificate in this file");
                self.certificate = Some(certificate);
                true
            }
            Err(error) => {
                self.complain(&error);
                false
            }
        }
    }

    fn complain(&self, error: &CertificateError) {
        let file = self.files.cert.display();
        let error = error as &dyn std::error::Error;
        match self.certificate {
            Some(_) => tracing::error!(%file, error, "not a usable certificate; the one before is served on"),
            None => tracing::error!(%file, error, "not a usable certificate"),
        }
    }
}

fn stamp(path: &Path) -> Option<(u64, i64, i64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    fn write(dir: &Path, name: &str) -> CertificateFiles {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = CertificateFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
        for (path, text) in [(&files.cert, cert.pem()), (&files.key, signing_key.serialize_pem())] {
            // As certbot and people with care do it; also another inode each time.
            fs::write(dir.join("new"), text).unwrap();
            fs::rename(dir.join("new"), path).unwrap();
        }
        files
    }

    fn served(files: &Files) -> Vec<String> {
        files.certificates().flat_map(|c| c.report().names).collect()
    }

    #[test]
    fn a_change_is_seen_and_what_is_broken_is_not_served() {
        crate::tls::provider();
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let wanted = [write(dir.path(), "one.test")];
        assert!(files.want(&wanted));
        assert_eq!(served(&files), ["one.test"]);
        assert!(!files.look_again(), "nothing has changed");

        fs::write(&wanted[0].cert, "-----BEGIN").unwrap();
        assert!(!files.look_again());
        assert_eq!(served(&files), ["one.test"]);

        write(dir.path(), "two.test");
        assert!(files.look_again());
        assert_eq!(served(&files), ["two.test"]);

        let other = tempfile::tempdir().unwrap();
        fs::copy(write(other.path(), "three.test").key, &wanted[0].key).unwrap();
        assert!(!files.look_again(), "the key of another certificate");
        assert_eq!(served(&files), ["two.test"]);
    }

    #[test]
    fn what_comes_later_is_found() {
        crate::tls::provider();
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let wanted = CertificateFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        files.want(std::slice::from_ref(&wanted));
        assert_eq!(served(&files), [""; 0]);
        write(dir.path(), "one.test");
        assert!(files.want(&[wanted]));
        assert_eq!(served(&files), ["one.test"]);
    }
}
