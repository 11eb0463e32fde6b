//! Logs of a stack's instances, as one stream.

use super::answer::lines;
use crate::{Agent, Error};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mainstay_api::{LogEntry, LogQuery};
use mainstay_host::docker::{LogRequest, Output};
use mainstay_host::native::Stream;
use mainstay_model::{Instance, InstanceId, InstanceState, Observed, RuntimeKind, StackName, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedSender};

pub(super) async fn logs(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<StackName>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Error> {
    let stack = agent.known(&name).ok_or(Error::NoStack(name))?;
    let services: BTreeSet<_> =
        query.services.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut sight = stack.sight.clone();
        let mut seen: BTreeSet<InstanceId> = BTreeSet::new();
        loop {
            let fresh: Vec<_> = {
                let sight = sight.borrow_and_update();
                let named = |i: &&Instance| services.is_empty() || services.contains(i.id.service.as_str());
                let nth = |i: &&Instance| query.index.is_none_or(|index| place(&sight.observed, i) == index);
                // The Engine ends the log of a container that was never started at once, though it be followed.
                let begun = |i: &&Instance| i.state != InstanceState::Created;
                let wanted = sight.observed.all().filter(named).filter(nth).filter(begun);
                wanted.filter(|i| seen.insert(i.id.clone())).cloned().collect()
            };
            let readers = fresh.into_iter().map(|instance| {
                tokio::spawn(read(
                    Arc::clone(&agent),
                    stack.name.clone(),
                    instance,
                    query.clone(),
                    tell.clone(),
                ))
            });
            let readers: Vec<_> = readers.collect();
            if !query.follow {
                for reader in readers {
                    // One that panicked has told what it could.
                    let _ = reader.await;
                }
                return;
            }
            tokio::select! {
                changed = sight.changed() => if changed.is_err() { return },
                () = tell.closed() => return,
            }
        }
    });
    Ok(lines(told))
}

/// Which of its service's instances it is, counted from 1.
fn place(observed: &Observed, instance: &Instance) -> u32 {
    let service = &instance.id.service;
    let before = observed.all().filter(|i| i.id.service == *service).take_while(|i| i.id != instance.id);
    u32::try_from(before.count() + 1).unwrap_or(u32::MAX)
}

async fn read(
    agent: Arc<Agent>,
    stack: StackName,
    instance: Instance,
    query: LogQuery,
    tell: UnboundedSender<LogEntry>,
) {
    let follow = |entry: LogEntry| tell.send(entry).is_ok();
    let outcome = tokio::select! {
        outcome = tell_lines(&agent, &stack, &instance, &query, follow) => outcome,
        () = tell.closed() => return,
    };
    if let Err(error) = outcome {
        tracing::debug!(instance = %instance.id, error = error.whole(), "cannot read a log");
    }
}

/// Tells every line that `query` wants until `tell` is false.
async fn tell_lines(
    agent: &Agent,
    stack: &StackName,
    instance: &Instance,
    query: &LogQuery,
    tell: impl Fn(LogEntry) -> bool,
) -> Result<(), Error> {
    let entry = |at: Timestamp, stderr: bool, line: String| {
        let (service, instance) = (instance.id.service.clone(), instance.name.clone());
        LogEntry { at, service, instance, stderr, line }
    };
    let (since, until) = (query.since.map(Timestamp), query.until.map(Timestamp));
    match instance.runtime {
        RuntimeKind::Docker => {
            let tail = query.tail.map(|n| n as u64);
            let request = LogRequest { follow: query.follow, since, until, tail };
            let mut log = agent.runtimes.docker().await?.logs(&instance.handle, &request).await?;
            while let Some(line) = log.next().await? {
                let at = line.time.unwrap_or(Timestamp(0));
                if !tell(entry(at, line.stream == Output::Stderr, line.text)) {
                    break;
                }
            }
        }
        RuntimeKind::Native => {
            let mut log =
                agent.runtimes.native.logs(stack, &instance.id, query.follow, since, query.tail).await?;
            while let Some(line) = log.next_line().await {
                let line = line?;
                let late = until.is_some_and(|until| line.time > until);
                if late || !tell(entry(line.time, line.stream == Stream::Stderr, line.line)) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The last lines that an instance printed.
pub(crate) async fn last_lines(
    agent: &Agent,
    stack: &StackName,
    instance: &Instance,
    count: usize,
) -> Vec<String> {
    let query = LogQuery { tail: Some(count), ..LogQuery::default() };
    let lines = std::sync::Mutex::new(Vec::new());
    let keep = |entry: LogEntry| lines.lock().map(|mut lines| lines.push(entry.line)).is_ok();
    if let Err(error) = tell_lines(agent, stack, instance, &query, keep).await {
        tracing::debug!(error = error.whole(), "cannot read the last lines of a log");
    }
    lines.into_inner().unwrap_or_default()
}
