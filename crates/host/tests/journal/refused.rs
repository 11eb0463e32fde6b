//! What cannot be done says why, names the path, and changes nothing.

use crate::support::*;
use mainstay_host::journal::{Journal, JournalError};
use mainstay_model::{StackState, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[tokio::test]
async fn a_stale_generation_is_refused_and_changes_nothing() {
    let (_dir, journal) = open();
    journal.record(&shop(), &transition(1), &state(1), 0).await.unwrap();
    let stale = journal.record(&shop(), &transition(2), &state(1), 0).await;
    assert!(matches!(stale, Err(JournalError::Stale { expected: 0, found: 1, .. })), "{stale:?}");
    let miscounted = journal.record(&shop(), &transition(2), &state(5), 1).await;
    assert!(
        matches!(miscounted, Err(JournalError::Miscounted { expected: 2, found: 5, .. })),
        "{miscounted:?}"
    );
    assert_eq!(journal.transitions(&shop(), 0).await.unwrap().len(), 1);
    assert_eq!(journal.state(&shop()).await.unwrap(), state(1));
}

#[tokio::test]
async fn of_many_at_once_one_wins() {
    let (_dir, journal) = open();
    let tries = (0..20).map(|slot| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.record(&shop(), &transition(slot), &state(1), 0).await })
    });
    let mut won = 0;
    for attempt in tries.collect::<Vec<_>>() {
        won += u32::from(attempt.await.unwrap().is_ok());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_second_agent_is_told_of_the_first() {
    let (dir, journal) = open();
    let second = Journal::open(dir.path());
    let own = std::process::id();
    match second {
        Err(JournalError::InUse { path, pid }) => assert_eq!((path.as_path(), pid), (dir.path(), Some(own))),
        other => panic!("{other:?}"),
    }
    drop(journal);
    Journal::open(dir.path()).unwrap();
}

#[tokio::test]
async fn what_is_no_journal_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let text = "this is no database, but somebody may want it back".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_page_is_found_when_opening() {
    let (dir, journal) = open();
    for at in 0..200 {
        journal.add_event(&event(at)).await.unwrap();
    }
    drop(journal);
    let path = dir.path().join("journal.db");
    // Folds the WAL into the file, as a clean end does.
    drop(Journal::open(dir.path()).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 5 * 4096);
    let pages = bytes.len() / 4096;
    bytes[(pages - 1) * 4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (dir, journal) = open();
    drop(journal);
    let connection = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    connection.execute("INSERT INTO migrations (version) VALUES (99)", []).unwrap();
    drop(connection);
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::TooNew { found: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    fs::write(&path, "").unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
}

/// Root may write anywhere, so a process without rights tries.
#[tokio::test]
async fn an_unwritable_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-test-process"));
    command.args(["journal-writer", state.to_str().unwrap()]).stdout(Stdio::null());
    if rustix::process::getuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        // The helper has to reach the directory, and must not be able to write it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65534).gid(65534);
    } else {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("NotWritable") && said.contains(state.to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: mounting a small tmpfs takes root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k", "tmpfs", dir.path().to_str().unwrap()])
        .status()
        .unwrap();
    assert!(mounted.success());
    let journal = Journal::open(dir.path()).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match journal.record(&shop(), &transition(1), &state(acknowledged + 1), acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    let seen = journal.state(&shop()).await.unwrap().generation;
    let release = journal.add_release(&stack(), BTreeMap::new(), Timestamp(0)).await;
    drop(journal);
    // Room again: the same file goes on where it was.
    let remount = Command::new("mount")
        .args(["-o", "remount,size=40m", dir.path().to_str().unwrap()])
        .status()
        .unwrap();
    assert!(remount.success());
    let journal = Journal::open(dir.path()).unwrap();
    let later = journal.state(&shop()).await.unwrap();
    journal.record(&shop(), &transition(1), &state(acknowledged + 1), acknowledged).await.unwrap();
    drop(journal);
    Command::new("umount").args(["-l", dir.path().to_str().unwrap()]).status().unwrap();
    assert!(matches!(error, JournalError::Full { .. }), "{error:?}");
    assert!(matches!(release, Err(JournalError::Full { .. })), "{release:?}");
    assert_ne!(later, StackState::default());
    assert_eq!((seen, later.generation), (acknowledged, acknowledged));
}
