//! Time inside the data plane: a coarse monotonic clock, and deadlines without a timer per request.
//!
//! Setting a deadline is two stores; one tick per thread looks at all of them and wakes the tasks that are late. So
//! a deadline passes at most [`TICK`] late and never early by more than the coarse clock's few milliseconds.
//! Knows nothing about what is being waited for.

use crate::target::{self, TargetState};
use mainstay_model::Timestamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds of the monotonic clock.
pub(crate) type Millis = u64;

/// "Never", for a deadline.
pub(crate) const NEVER: Millis = Millis::MAX;

/// How often a thread looks for late deadlines. A tenth of a second is well under any sensible timeout, and
/// looking at 10,000 deadlines that lie side by side takes some ten microseconds.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// How long after the last drain deadline threads look for those whose target it was: all have had a [`TICK`] by then.
const CLOSED_BY: Millis = 10_000;

/// Now, by the kernel's coarse clock (4 ms steps): it is read several times a request and costs a few
/// nanoseconds.
pub(crate) fn now() -> Millis {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Now, to the millisecond, on the same scale: where the coarse clock's steps would show.
pub(crate) fn precise() -> Millis {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The wall clock, as tables speak of it.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic time at which the wall clock will show `at`, if nobody sets it meanwhile.
pub(crate) fn from_wall(at: Timestamp) -> Millis {
    now().saturating_add(millis(at.since(wall())))
}

/// A duration in milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER)
}

thread_local! {
    static SLOTS: RefCell<Slots> =
        const { RefCell::new(Slots { at: Vec::new(), used: Vec::new(), free: Vec::new() }) };
}

struct Slots {
    /// When each passes, side by side: a slot that nobody has touched for long is far away, and most are looked at in vain.
    at: Vec<Cell<Millis>>,
    used: Vec<Option<Rc<Slot>>>,
    free: Vec<usize>,
}

struct Slot {
    at: Cell<Millis>,
    /// Whatever is armed, it passes by then.
    cap: Cell<Millis>,
    /// The target's drain deadline passed: what is under way ends now, whatever `at` says.
    cut: Cell<bool>,
    waker: RefCell<Waker>,
    target: RefCell<Option<Arc<TargetState>>>,
}

impl Slot {
    /// Whether the drain deadline of the target has passed.
    fn is_cut(&self, now: Millis) -> bool {
        if self.target.borrow().as_ref().is_some_and(|target| target.closes_by() <= now) {
            self.cut.set(true);
        }
        self.cut.get()
    }
}

/// The deadline of whatever a task waits for at the moment.
pub(crate) struct Deadline {
    slot: Rc<Slot>,
    index: usize,
}

impl Deadline {
    /// A deadline that never passes until it is armed.
    pub(crate) fn new() -> Self {
        let slot = Rc::new(Slot {
            at: Cell::new(NEVER),
            cap: Cell::new(NEVER),
            cut: Cell::new(false),
            waker: RefCell::new(Waker::noop().clone()),
            target: RefCell::new(None),
        });
        let index = SLOTS.with_borrow_mut(|slots| match slots.free.pop() {
            Some(index) => {
                slots.used[index] = Some(slot.clone());
                index
            }
            None => {
                slots.at.push(Cell::new(NEVER));
                slots.used.push(Some(slot.clone()));
                slots.used.len() - 1
            }
        });
        Self { slot, index }
    }

    /// Passes `after` milliseconds from now.
    pub(crate) fn arm(&self, after: Millis) {
        self.arm_at(now().saturating_add(after));
    }

    /// Passes at the given time.
    pub(crate) fn arm_at(&self, at: Millis) {
        let at = at.min(self.slot.cap.get());
        self.slot.at.set(at);
        // The thread may be ending and its list gone.
        let _ = SLOTS.try_with(|slots| slots.borrow().at[self.index].set(at));
    }

    /// Does not pass until armed again, unless its cap or the target's drain deadline does.
    pub(crate) fn disarm(&self) {
        self.arm_at(NEVER);
    }

    /// From now on it passes within `within` milliseconds, whatever is armed; [`NEVER`] lifts that.
    pub(crate) fn cap(&self, within: Millis) {
        self.slot.cap.set(if within == NEVER { NEVER } else { now().saturating_add(within) });
    }

    /// From now on the drain deadline of `target` counts too.
    pub(crate) fn follow(&self, target: Option<Arc<TargetState>>) {
        self.slot.cut.set(false);
        *self.slot.target.borrow_mut() = target;
    }

    /// Whose drain deadline counts.
    pub(crate) fn followed(&self) -> Option<Arc<TargetState>> {
        self.slot.target.borrow().clone()
    }

    /// Whether the drain deadline of the followed target passed.
    pub(crate) fn is_cut(&self) -> bool {
        self.slot.cut.get()
    }

    /// Whether the deadline passed; when not, the task of `cx` is woken once it does.
    pub(crate) fn passed(&self, cx: &Context<'_>) -> bool {
        if self.slot.cut.get() || now() >= self.slot.at.get() {
            return true;
        }
        let mut waker = self.slot.waker.borrow_mut();
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
        false
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let _ = SLOTS.try_with(|slots| {
            let Ok(mut slots) = slots.try_borrow_mut() else { return };
            slots.used[self.index] = None;
            slots.at[self.index].set(NEVER);
            slots.free.push(self.index);
        });
    }
}

/// Wakes every task of this thread whose deadline passed. Called once per [`TICK`].
pub(crate) fn wake_late() {
    let now = now();
    let is_closing = target::closing_until().is_some_and(|last| now <= last.saturating_add(CLOSED_BY));
    // Waking may run arbitrary code, so it happens after the list is released.
    let late: Vec<Rc<Slot>> = SLOTS.with_borrow(|slots| {
        let is_late = |at: &Cell<Millis>, slot: &Option<Rc<Slot>>| {
            at.get() <= now || is_closing && slot.as_ref().is_some_and(|slot| slot.is_cut(now))
        };
        let late = slots.at.iter().zip(&slots.used).filter(|(at, slot)| is_late(at, slot));
        late.filter_map(|(_, slot)| slot.clone()).collect()
    });
    for slot in late {
        slot.waker.borrow().wake_by_ref();
    }
}
