//! What is written is there.

use crate::support::*;
use mainstay_host::journal::{Journal, JournalError, Outcome, ReleaseStatus};
use mainstay_model::{StackState, Timestamp};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[tokio::test]
async fn a_state_and_its_transitions_survive_reopening() {
    let (dir, journal) = open();
    assert_eq!(journal.state(&shop()).await.unwrap(), StackState::default());
    journal.record(&shop(), &transition(1), &state(1), 0).await.unwrap();
    journal.record(&shop(), &transition(2), &state(2), 1).await.unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.state(&shop()).await.unwrap(), state(2));
    assert_eq!(journal.stacks().await.unwrap(), [shop()]);
    assert_eq!(journal.transitions(&shop(), 0).await.unwrap(), [(1, transition(1)), (2, transition(2))]);
    assert_eq!(journal.transitions(&shop(), 1).await.unwrap(), [(2, transition(2))]);
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let journal = Journal::open(&dir).unwrap();
    journal.record(&shop(), &transition(1), &state(1), 0).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn releases_are_numbered_marked_listed_and_pruned() {
    let (_dir, journal) = open();
    for number in 1..=30 {
        let release = journal.add_release(&stack(), BTreeMap::new(), Timestamp(number)).await.unwrap();
        assert_eq!(u64::from(release.number), number);
        assert_eq!(journal.release(&shop(), release.number).await.unwrap(), release);
    }
    journal.mark_release(&shop(), 1, Outcome::Served).await.unwrap();
    journal.mark_release(&shop(), 28, Outcome::Served).await.unwrap();
    journal.mark_release(&shop(), 29, Outcome::Failed).await.unwrap();
    journal.record(&shop(), &transition(1), &state(1), 0).await.unwrap();
    let gone = journal.prune(&shop()).await.unwrap();
    assert_eq!(gone, (2..=10).rev().collect::<Vec<_>>());
    let listed = journal.releases(&shop()).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|release| (release.number, release.status)).collect();
    let (first, last) = (&seen[..4], seen.last().unwrap());
    assert_eq!(
        first,
        [
            (30, ReleaseStatus::NeverServed),
            (29, ReleaseStatus::Failed),
            (28, ReleaseStatus::Superseded),
            (27, ReleaseStatus::NeverServed)
        ]
    );
    assert_eq!((seen.len(), *last), (21, (1, ReleaseStatus::Serving)));
    assert!(matches!(journal.release(&shop(), 2).await, Err(JournalError::NoRelease { number: 2, .. })));
    let missing = journal.mark_release(&shop(), 99, Outcome::Failed).await;
    assert!(matches!(missing, Err(JournalError::NoRelease { number: 99, .. })));
    assert_eq!(journal.add_release(&stack(), BTreeMap::new(), Timestamp(0)).await.unwrap().number, 31);
}

#[tokio::test]
async fn events_are_read_from_a_time_on_oldest_first() {
    let (_dir, journal) = open();
    for at in 0..20 {
        journal.add_event(&event(at)).await.unwrap();
    }
    let newest = journal.events(&shop(), Timestamp(0), 3).await.unwrap();
    assert_eq!(newest, [event(17), event(18), event(19)]);
    assert_eq!(journal.events(&shop(), Timestamp(18), 100).await.unwrap(), [event(18), event(19)]);
}

/// The helper records and says each generation that was acknowledged. Killed at any moment, it leaves the state of the
/// last one it said, or of the one after that: never less, never a mixture.
#[tokio::test]
async fn a_writer_killed_in_the_middle_leaves_a_prefix() {
    for length in [1, 7, 40, 41, 100] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Command::new(env!("CARGO_BIN_EXE_host-test-process"))
            .args(["journal-writer", dir.path().to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        while acknowledged < length {
            acknowledged = said.next().unwrap().unwrap().parse().unwrap();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        acknowledged =
            said.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().unwrap_or(acknowledged);

        let journal = Journal::open(dir.path()).unwrap();
        let state = journal.state(&shop()).await.unwrap();
        assert!(
            [acknowledged, acknowledged + 1].contains(&state.generation),
            "{acknowledged} {}",
            state.generation
        );
        let generations: Vec<u64> = journal
            .transitions(&shop(), 0)
            .await
            .unwrap()
            .into_iter()
            .map(|(generation, _)| generation)
            .collect();
        assert_eq!(generations, (1..=state.generation).collect::<Vec<_>>());
        journal
            .record(&shop(), &transition(1), &self::state(state.generation + 1), state.generation)
            .await
            .unwrap();
    }
}
