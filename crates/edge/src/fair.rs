//! Fairness among clients: a thread gives none more than a slice of its time before it looks whether others, or new ones, have
//! something to do.
//!
//! The runtime asks tasks in the order in which they became ready, so whoever has a thousand busy connections or streams
//! would have a thousand turns for each one of everybody else. Here time is dealt out in rounds, as packets are by deficit
//! round robin (Shreedhar and Varghese, 1995). Knows nothing about what tasks do.

use crate::connections::subscriber;
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Nanoseconds.
type Nanos = u64;

/// What a client may use of a round before its other tasks wait for the next: some five requests, or half a handshake. Less
/// would be spent on asking the sockets, which is done once a round.
const SLICE: Nanos = 100_000;
/// What one turn counts at most: no task works for longer without a pause, so the thread was kept from running.
const LONGEST_TURN: Nanos = 1_000_000;
/// How long each turn of a client counts while there are no others: nobody looks at the clock for it. So it has 256 turns
/// before those who would be served first are looked for.
const TURN_ALONE: Nanos = SLICE / 256;

/// The rounds of one thread.
#[derive(Default)]
pub(crate) struct Rounds {
    clients: RefCell<HashMap<IpAddr, Rc<Client>>>,
    number: Cell<u64>,
    /// Clients with tasks that wait for another round.
    waiting: RefCell<Vec<Rc<Client>>>,
    /// The task that begins rounds.
    waker: RefCell<Option<Waker>>,
}

/// A client with tasks on this thread.
struct Client {
    address: IpAddr,
    tasks: Cell<usize>,
    /// Used in this round, and what was used too much before.
    spent: Cell<Nanos>,
    /// The round that `spent` is about.
    round: Cell<u64>,
    /// Its tasks that wait, the longest first.
    deferred: RefCell<VecDeque<Rc<Place>>>,
    /// One of them was called and has not come yet.
    is_calling: Cell<bool>,
    /// It is among those that wait.
    is_listed: Cell<bool>,
}

/// Where a task waits.
struct Place {
    waker: RefCell<Waker>,
    is_called: Cell<bool>,
}

impl Rounds {
    /// Has `task` run in its client's share of the time.
    pub(crate) fn share<F: Future>(self: &Rc<Self>, client: IpAddr, task: F) -> Fair<F> {
        Fair { member: self.member(client), task }
    }

    /// What a task of this client is polled by.
    pub(crate) fn member(self: &Rc<Self>, client: IpAddr) -> Member {
        let address = subscriber(client);
        let client = self.clients.borrow_mut().entry(address).or_insert_with(|| Client::new(address)).clone();
        Member::new(self.clone(), client)
    }

    /// Begins a round whenever somebody waits for one. Runs forever.
    pub(crate) async fn keep(self: Rc<Self>) {
        loop {
            poll_fn(|cx| self.poll_waited_for(cx)).await;
            // First come those who are ready, and what the sockets have got meanwhile.
            tokio::task::yield_now().await;
            self.begin_round();
        }
    }

    fn poll_waited_for(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn begin_round(&self) {
        self.number.set(self.number.get() + 1);
        self.waiting.borrow_mut().retain(|client| {
            if client.may_spend(self.number.get()) {
                client.call_next();
            }
            let is_waiting = client.is_waiting();
            client.is_listed.set(is_waiting);
            is_waiting
        });
    }

    fn is_shared(&self) -> bool {
        self.clients.borrow().len() > 1
    }

    fn wait(&self, client: &Rc<Client>) {
        if !client.is_listed.replace(true) {
            self.waiting.borrow_mut().push(client.clone());
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Client {
    fn new(address: IpAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            tasks: Cell::new(0),
            spent: Cell::new(0),
            round: Cell::new(0),
            deferred: RefCell::default(),
            is_calling: Cell::new(false),
            is_listed: Cell::new(false),
        })
    }

    fn is_waiting(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    /// Whether something of its slice is left in this round.
    fn may_spend(&self, round: u64) -> bool {
        let begun = round - self.round.replace(round);
        if begun > 0 {
            self.spent.set(self.spent.get().saturating_sub(SLICE.saturating_mul(begun)));
        }
        self.spent.get() < SLICE
    }

    /// Has the task go on that waits longest, unless another is about to.
    fn call_next(&self) {
        while !self.is_calling.get() {
            let Some(place) = self.deferred.borrow_mut().pop_front() else { return };
            // Unless its task has gone.
            if Rc::strong_count(&place) > 1 {
                place.is_called.set(true);
                self.is_calling.set(true);
                place.waker.borrow().wake_by_ref();
            }
        }
    }
}

/// A task's membership in its client's share of the time.
pub(crate) struct Member {
    rounds: Rc<Rounds>,
    client: Rc<Client>,
    /// Where it waits.
    place: Option<Rc<Place>>,
}

impl Member {
    fn new(rounds: Rc<Rounds>, client: Rc<Client>) -> Self {
        client.tasks.set(client.tasks.get() + 1);
        Self { rounds, client, place: None }
    }

    /// What another task of the same client is polled by.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.rounds.clone(), self.client.clone())
    }

    /// Lets the task go on, unless its client's time is up; then it is called when there is more.
    pub(crate) fn poll<F: Future>(&mut self, cx: &mut Context<'_>, task: Pin<&mut F>) -> Poll<F::Output> {
        if !self.may_run(cx) {
            return Poll::Pending;
        }
        let begun = self.rounds.is_shared().then(Instant::now);
        let polled = task.poll(cx);
        let took = begun.map(|begun| Nanos::try_from(begun.elapsed().as_nanos()).unwrap_or(Nanos::MAX));
        self.has_run(took.unwrap_or(TURN_ALONE));
        polled
    }

    /// Whether the task may run; if not it is called when it may.
    fn may_run(&mut self, cx: &Context<'_>) -> bool {
        if let Some(place) = &self.place {
            if !place.is_called.get() {
                place.waker.borrow_mut().clone_from(cx.waker());
                return false;
            }
            self.place = None;
            self.client.is_calling.set(false);
            return true;
        }
        let is_first = !self.client.is_waiting() && !self.client.is_calling.get();
        if is_first && self.client.may_spend(self.rounds.number.get()) {
            return true;
        }
        let place = Rc::new(Place { waker: RefCell::new(cx.waker().clone()), is_called: Cell::new(false) });
        self.client.deferred.borrow_mut().push_back(place.clone());
        self.place = Some(place);
        self.rounds.wait(&self.client);
        false
    }

    /// Notes how long the task has run, and has the next go on if there is time.
    fn has_run(&self, took: Nanos) {
        self.client.spent.set(self.client.spent.get() + took.min(LONGEST_TURN));
        if self.client.is_waiting() && self.client.may_spend(self.rounds.number.get()) {
            self.client.call_next();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Called, and will not come.
        if self.place.take().is_some_and(|place| place.is_called.get()) {
            self.client.is_calling.set(false);
            self.client.call_next();
        }
        self.client.tasks.set(self.client.tasks.get() - 1);
        if self.client.tasks.get() == 0 {
            self.rounds.clients.borrow_mut().remove(&self.client.address);
        }
    }
}

pin_project! {
    /// A task that runs in its client's share of the time.
    #[project = Fields]
    pub(crate) struct Fair<F> {
        member: Member,
        #[pin]
        task: F,
    }
}

impl<F: Future> Future for Fair<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Fields { member, task } = self.project();
        member.poll(cx, task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    const BUSY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const QUIET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Comes back again and again, each time with as much work as `turn`, until `is_over`.
    async fn work(turn: Nanos, is_over: Rc<Cell<bool>>, turns: Rc<Cell<u32>>) {
        while !is_over.get() {
            thread::sleep(Duration::from_nanos(turn));
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    }

    /// On a thread with `busy` tasks of one client that never rest: how many turns they had while a task of `client` had ten.
    fn turns_meanwhile(busy: usize, client: IpAddr) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let rounds = Rc::new(Rounds::default());
            tokio::task::spawn_local(rounds.clone().keep());
            let (is_over, turns) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
            for _ in 0..busy {
                let task = work(SLICE / 2, is_over.clone(), turns.clone());
                tokio::task::spawn_local(rounds.share(BUSY, task));
            }
            let ten = async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            };
            rounds.share(client, ten).await;
            is_over.set(true);
            turns.get()
        })
    }

    #[test]
    fn who_has_a_hundred_tasks_has_as_much_time_as_who_has_one() {
        // The same client's come one after the other.
        let of_its_own = turns_meanwhile(100, BUSY);
        assert!(of_its_own >= 400, "{of_its_own}");
        let beside_another = turns_meanwhile(100, QUIET);
        assert!(beside_another <= 60, "{beside_another}");
    }

    #[test]
    fn all_tasks_of_a_client_have_their_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let rounds = Rc::new(Rounds::default());
            let keeping = tokio::task::spawn_local(rounds.clone().keep());
            let other = rounds.member(QUIET);
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    let (is_over, turns) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
                    let task = rounds.share(BUSY, work(SLICE / 4, is_over.clone(), turns.clone()));
                    (tokio::task::spawn_local(task), is_over, turns)
                })
                .collect();
            while tasks.iter().any(|(.., turns)| turns.get() < 5) {
                tokio::task::yield_now().await;
            }
            let most = tasks.iter().map(|(.., turns)| turns.get()).max().unwrap();
            assert!(most <= 7, "{most}");
            // One that is called while it goes does not stop the others.
            tasks[0].0.abort();
            for (task, is_over, _) in tasks {
                is_over.set(true);
                let _ = task.await;
            }
            drop(other);
            assert!(rounds.clients.borrow().is_empty());
            keeping.abort();
        });
    }
}
