//! What the writing thread does, one transaction a call.

use super::{JournalError, Outcome};
use mainstay_model::{
    Event, Release, ReleaseNumber, ServiceName, Stack, StackName, StackState, Timestamp, Transition,
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Releases kept a stack: what `rollback` can go back to.
const KEPT_RELEASES: u32 = 20;

/// Transitions kept a stack; they are for people who ask what happened. Some hundred deploys.
const KEPT_TRANSITIONS: u64 = 10_000;

/// Events kept a stack; about 20 MB.
const KEPT_EVENTS: u64 = 50_000;

/// The one connection that writes.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

/// How sure a commit has to be before it is believed.
#[derive(Debug, Clone, Copy)]
enum Durability {
    /// On the disk, so that it survives a power cut: whatever is acted upon afterwards.
    Disk,
    /// In the file system, so that it survives our death: what is only told.
    System,
}

impl Writer {
    /// Runs `work` as one transaction.
    fn transact<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let fail = JournalError::sqlite(&self.path);
        let level = match durability {
            Durability::Disk => "FULL",
            Durability::System => "NORMAL",
        };
        self.connection.pragma_update(None, "synchronous", level).map_err(&fail)?;
        let begin = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begin.map_err(&fail)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(&fail)?;
        Ok(done)
    }

    pub(super) fn record(
        &mut self,
        stack: &StackName,
        transition: &Transition,
        after: &StackState,
        expected: u64,
    ) -> Result<(), JournalError> {
        let fail = JournalError::sqlite(&self.path);
        let unwritable = JournalError::record(&self.path, "a transition");
        let state = serde_json::to_string(after).map_err(&unwritable)?;
        let transition = serde_json::to_string(transition).map_err(&unwritable)?;
        if after.generation != expected + 1 {
            let (expected, found) = (expected + 1, after.generation);
            return Err(JournalError::Miscounted { stack: stack.clone(), expected, found });
        }
        self.transact(Durability::Disk, |transaction| {
            let found: u64 = transaction
                .query_row("SELECT generation FROM stacks WHERE name = ?1", [stack.as_str()], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(&fail)?
                .unwrap_or(0);
            if found != expected {
                return Err(JournalError::Stale { stack: stack.clone(), expected, found });
            }
            let insert = "INSERT INTO transitions (stack, generation, transition) VALUES (?1, ?2, ?3)";
            transaction
                .execute(insert, params![stack.as_str(), after.generation, transition])
                .map_err(&fail)?;
            let replace = "INSERT INTO stacks (name, generation, state) VALUES (?1, ?2, ?3)
                ON CONFLICT (name) DO UPDATE SET generation = ?2, state = ?3";
            transaction.execute(replace, params![stack.as_str(), after.generation, state]).map_err(&fail)?;
            Ok(())
        })
    }

    pub(super) fn add_release(
        &mut self,
        stack: Stack,
        images: BTreeMap<ServiceName, String>,
        created: Timestamp,
    ) -> Result<Release, JournalError> {
        let fail = JournalError::sqlite(&self.path);
        let unwritable = JournalError::record(&self.path, "a release");
        let empty = serde_json::to_string(&StackState::default()).map_err(&unwritable)?;
        self.transact(Durability::Disk, |transaction| {
            // Counted apart from the releases, because a number is never given twice even when all are pruned.
            let allot = "INSERT INTO stacks (name, generation, state, last_release) VALUES (?1, 0, ?2, 1)
                ON CONFLICT (name) DO UPDATE SET last_release = last_release + 1 RETURNING last_release";
            let number: ReleaseNumber = transaction
                .query_row(allot, params![stack.name.as_str(), empty], |row| row.get(0))
                .map_err(&fail)?;
            let release = Release { number, stack, images, created };
            let body = serde_json::to_string(&release).map_err(&unwritable)?;
            let insert = "INSERT INTO releases (stack, number, created, body) VALUES (?1, ?2, ?3, ?4)";
            transaction
                .execute(insert, params![release.stack.name.as_str(), number, created.0, body])
                .map_err(&fail)?;
            Ok(release)
        })
    }

    pub(super) fn mark_release(
        &mut self,
        stack: &StackName,
        number: ReleaseNumber,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        let fail = JournalError::sqlite(&self.path);
        self.transact(Durability::Disk, |transaction| {
            let update = "UPDATE releases SET outcome = ?3 WHERE stack = ?1 AND number = ?2";
            let outcome = outcome.as_str();
            match transaction.execute(update, params![stack.as_str(), number, outcome]).map_err(&fail)? {
                0 => Err(JournalError::NoRelease { stack: stack.clone(), number }),
                _ => Ok(()),
            }
        })
    }

    pub(super) fn add_event(&mut self, event: &Event) -> Result<(), JournalError> {
        let fail = JournalError::sqlite(&self.path);
        let body = serde_json::to_string(event).map_err(JournalError::record(&self.path, "an event"))?;
        self.transact(Durability::System, |transaction| {
            let insert = "INSERT INTO events (stack, at, body) VALUES (?1, ?2, ?3)";
            transaction.execute(insert, params![event.stack.as_str(), event.at.0, body]).map_err(&fail)?;
            Ok(())
        })
    }

    /// Drops what is older than the newest of each kind; `needed` releases stay, however old.
    pub(super) fn prune(
        &mut self,
        stack: &StackName,
        needed: &BTreeSet<ReleaseNumber>,
    ) -> Result<Vec<ReleaseNumber>, JournalError> {
        let fail = JournalError::sqlite(&self.path);
        self.transact(Durability::System, |transaction| {
            let old = "SELECT number FROM releases WHERE stack = ?1 ORDER BY number DESC LIMIT -1 OFFSET ?2";
            let mut query = transaction.prepare_cached(old).map_err(&fail)?;
            let rows = query
                .query_map(params![stack.as_str(), KEPT_RELEASES], |row| row.get::<_, ReleaseNumber>(0))
                .map_err(&fail)?;
            let old: Vec<ReleaseNumber> = rows.collect::<Result<_, _>>().map_err(&fail)?;
            let doomed: Vec<ReleaseNumber> =
                old.into_iter().filter(|number| !needed.contains(number)).collect();
            for number in &doomed {
                let delete = "DELETE FROM releases WHERE stack = ?1 AND number = ?2";
                transaction.execute(delete, params![stack.as_str(), number]).map_err(&fail)?;
            }
            let delete = "DELETE FROM transitions WHERE stack = ?1 AND generation <=
                (SELECT max(generation) FROM transitions WHERE stack = ?1) - ?2";
            transaction.execute(delete, params![stack.as_str(), KEPT_TRANSITIONS]).map_err(&fail)?;
            let delete = "DELETE FROM events WHERE stack = ?1 AND id <=
                (SELECT id FROM events WHERE stack = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
            transaction.execute(delete, params![stack.as_str(), KEPT_EVENTS]).map_err(&fail)?;
            Ok(doomed)
        })
    }
}
