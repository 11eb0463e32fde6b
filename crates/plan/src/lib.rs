//! Every decision of Mainstay: from what is wanted, what the journal remembers and what is seen, to what is
//! done next and why the rest waits.
//!
//! Pure. Time and seed are arguments; nothing here does anything, reads anything, or knows how a step is carried
//! out. [`next`] is called again after every step, so a decision never looks further than one step ahead: what
//! a crash interrupts is simply decided again.

mod adopt;
mod backoff;
mod blueprint;
mod container_name;
mod dependency;
mod deploy;
mod down;
mod draft;
mod eject;
mod hook;
mod journal;
mod leave;
mod make;
mod proof;
mod route;
mod steady;
mod strategy;
mod subset;
mod tcp;
mod tls;
mod undo;
mod view;
mod watch;

pub use adopt::in_rotation;
pub use backoff::{CRASH_LOOP, restart_delay};
pub use blueprint::Blueprint;
pub use eject::obstacles;
pub use journal::apply;
pub use route::{drain_grace, reached_ports, upstream_key};
pub use strategy::{Strategy, edge_holds_ports, strategy};
pub use subset::{UnknownService, subset, with_dependencies};
pub use view::Input;

use draft::Draft;
use mainstay_model::{Phase, Plan, Wish};
use view::View;

/// Decides what can be done now for one stack.
///
/// A plan either changes the journal or acts, never both: what is done rests on what is already written.
pub fn next(input: &Input<'_>) -> Plan {
    let view = View::new(input);
    let mut draft = Draft::new(input);
    if let Some(why) = view.blind() {
        draft.wait_all(&view, why);
        return draft.finish();
    }
    match (&input.state.wish, &input.state.deploy) {
        (Wish::Down { volumes }, _) => down::advance(&view, &mut draft, *volumes),
        (Wish::Eject, _) => eject::advance(&view, &mut draft),
        (Wish::Up, Some(deploy)) => match &deploy.phase {
            Phase::Proving => deploy::prove(&view, &mut draft, deploy),
            Phase::Switched { .. } => deploy::settle(&view, &mut draft, deploy),
            Phase::Undoing { .. } => undo::advance(&view, &mut draft, deploy),
        },
        (Wish::Up, None) => {
            steady::advance(&view, &mut draft);
            watch::advance(&view, &mut draft);
        }
    }
    hook::forget(&view, &mut draft);
    route::advance(&view, &mut draft);
    draft.finish()
}
