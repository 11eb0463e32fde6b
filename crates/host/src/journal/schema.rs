//! The tables, and how they came to be.

use super::JournalError;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Every version's step from the one before. Never edited once released; what changes is added.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE stacks (
        name         TEXT PRIMARY KEY,
        generation   INTEGER NOT NULL,
        state        TEXT NOT NULL,
        last_release INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE transitions (
        stack      TEXT NOT NULL,
        generation INTEGER NOT NULL,
        transition TEXT NOT NULL,
        PRIMARY KEY (stack, generation)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE releases (
        stack   TEXT NOT NULL,
        number  INTEGER NOT NULL,
        created INTEGER NOT NULL,
        outcome TEXT,
        body    TEXT NOT NULL,
        PRIMARY KEY (stack, number)
    ) STRICT;
    CREATE TABLE events (
        id    INTEGER PRIMARY KEY,
        stack TEXT NOT NULL,
        at    INTEGER NOT NULL,
        body  TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_stack ON events (stack, at, id);
"];

/// How long to wait for a lock. Only readers of our own and people with `sqlite3` could hold one, both briefly.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the journal for writing: makes the file (mode 0600, which SQLite passes on to its -wal and -shm), checks it,
/// and brings it to the present version.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let fail = JournalError::sqlite(path);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(JournalError::file(path))?;
    let mut connection = Connection::open(path).map_err(&fail)?;
    connection.busy_timeout(PATIENCE).map_err(&fail)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(&fail)?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&fail)?;
    if sound != "ok" {
        return Err(JournalError::Corrupt { path: path.to_owned(), why: sound });
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the journal for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    let fail = JournalError::sqlite(path);
    // Not SQLITE_OPEN_READ_ONLY: a reader of a WAL takes part in its shared memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&fail)?;
    connection.busy_timeout(PATIENCE).map_err(&fail)?;
    connection.pragma_update(None, "query_only", true).map_err(&fail)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), JournalError> {
    let fail = JournalError::sqlite(path);
    let begin = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
    let transaction = begin.map_err(&fail)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) STRICT")
        .map_err(&fail)?;
    let found: u32 = transaction
        .query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))
        .map_err(&fail)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(JournalError::TooNew { path: path.to_owned(), found, known });
    }
    for (version, step) in (1u32..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.execute_batch(step).map_err(&fail)?;
        transaction.execute("INSERT INTO migrations (version) VALUES (?1)", [version]).map_err(&fail)?;
    }
    transaction.commit().map_err(&fail)
}
