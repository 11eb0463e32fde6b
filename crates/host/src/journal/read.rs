//! Reading, beside the writer, from connections of its own.

use super::{JournalError, ReleaseStatus, ReleaseSummary};
use mainstay_model::{Event, Release, ReleaseNumber, StackName, StackState, Timestamp, Transition};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;
use std::path::Path;

/// A connection that reads, and the journal's name for errors.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) connection: &'a Connection,
}

impl Reader<'_> {
    pub(super) fn stacks(&self) -> Result<Vec<StackName>, JournalError> {
        let names: Vec<String> = self.rows("SELECT name FROM stacks ORDER BY name", [], |row| row.get(0))?;
        let names = names.into_iter().map(StackName::new).collect::<Result<_, _>>();
        names.map_err(|error| JournalError::Corrupt { path: self.path.to_owned(), why: error.to_string() })
    }

    /// The default state for a stack that was never recorded.
    pub(super) fn state(&self, stack: &StackName) -> Result<StackState, JournalError> {
        let query = "SELECT state FROM stacks WHERE name = ?1";
        let state = self.text(query, params![stack.as_str()])?;
        state.map_or_else(|| Ok(StackState::default()), |state| self.parse("a state", &state))
    }

    pub(super) fn transitions(
        &self,
        stack: &StackName,
        after: u64,
    ) -> Result<Vec<(u64, Transition)>, JournalError> {
        let query = "SELECT generation, transition FROM transitions
            WHERE stack = ?1 AND generation > ?2 ORDER BY generation";
        let rows: Vec<(u64, String)> =
            self.rows(query, params![stack.as_str(), after], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.iter().map(|(generation, text)| Ok((*generation, self.parse("a transition", text)?))).collect()
    }

    pub(super) fn release(&self, stack: &StackName, number: ReleaseNumber) -> Result<Release, JournalError> {
        let query = "SELECT body FROM releases WHERE stack = ?1 AND number = ?2";
        let body = self.text(query, params![stack.as_str(), number])?;
        let body = body.ok_or_else(|| JournalError::NoRelease { stack: stack.clone(), number })?;
        self.parse("a release", &body)
    }

    /// Newest first.
    pub(super) fn releases(&self, stack: &StackName) -> Result<Vec<ReleaseSummary>, JournalError> {
        let state = self.state(stack)?;
        let query = "SELECT number, created, outcome FROM releases WHERE stack = ?1 ORDER BY number DESC";
        self.rows(query, params![stack.as_str()], |row| {
            let number = row.get(0)?;
            let outcome: Option<String> = row.get(2)?;
            let status = match outcome.as_deref() {
                _ if state.current == Some(number) => ReleaseStatus::Serving,
                Some("failed") => ReleaseStatus::Failed,
                Some("served") => ReleaseStatus::Superseded,
                _ => ReleaseStatus::NeverServed,
            };
            Ok(ReleaseSummary { number, created: Timestamp(row.get(1)?), status })
        })
    }

    /// The newest `limit` of the events not older than `since`, oldest first.
    pub(super) fn events(
        &self,
        stack: &StackName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        let query = "SELECT body FROM events WHERE stack = ?1 AND at >= ?2 ORDER BY id DESC LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let bodies: Vec<String> =
            self.rows(query, params![stack.as_str(), since.0, limit], |row| row.get(0))?;
        bodies.iter().rev().map(|body| self.parse("an event", body)).collect()
    }

    fn text(&self, query: &str, parameters: impl Params) -> Result<Option<String>, JournalError> {
        let mut statement = self.connection.prepare_cached(query).map_err(JournalError::sqlite(self.path))?;
        let text = statement.query_row(parameters, |row| row.get(0)).optional();
        text.map_err(JournalError::sqlite(self.path))
    }

    fn rows<T>(
        &self,
        query: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let mut statement = self.connection.prepare_cached(query).map_err(JournalError::sqlite(self.path))?;
        let rows = statement.query_map(parameters, read).and_then(Iterator::collect);
        rows.map_err(JournalError::sqlite(self.path))
    }

    fn parse<T: DeserializeOwned>(&self, what: &'static str, text: &str) -> Result<T, JournalError> {
        // As bytes, like all other JSON: one reader of every type is enough to carry.
        serde_json::from_slice(text.as_bytes()).map_err(JournalError::record(self.path, what))
    }
}
