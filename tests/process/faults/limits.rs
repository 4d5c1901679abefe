//! The same operations where there is little of what a process is limited in.

use super::supervisor::Supervisor;
use super::trial::{Adversity, Limit, Trial};
use super::{ALL, Operations, changing, opening, receiving};
use crate::common::{Child, End, become_nobody};
use crate::harness::{cases, die_with_the_parent};

cases! {
    little_room_for_descriptors,
    little_room_for_signals,
    little_memory_that_may_be_locked,
}

fn within(all: &[Operations], limits: &[Limit], prepare: fn()) {
    let supervisor = Supervisor::new();
    for &(name, operation) in all.iter().copied().flatten() {
        // What is for a thread has to be sent while there is no room, and cannot. A queue
        // that is full when the handler runs is in `every.rs`.
        let is_handler = name.starts_with("the_handler");
        for &limit in limits {
            if is_handler && matches!(limit, Limit::Queue(_)) {
                continue;
            }
            let trial = Trial::new(&supervisor, Adversity::Limit(limit));
            let child = Child::fork(|| {
                die_with_the_parent();
                prepare();
                trial.run(operation);
                0
            });
            assert_eq!(child.wait(), End::Exited(0), "{name}: {limit:?}");
        }
    }
}

/// From none at all to as many as any operation needs.
fn little_room_for_descriptors() {
    let limits = [0, 1, 2, 3, 4, 5, 6, 7].map(Limit::Descriptors);
    within(ALL, &limits, || ());
}

fn little_room_for_signals() {
    within(ALL, &[0, 1, 2].map(Limit::Queue), || ());
}

/// Some kernels count rings and their buffers as locked memory, but not that of who may
/// do anything.
fn little_memory_that_may_be_locked() {
    let all = [
        opening::OPENING,
        receiving::WAITING,
        changing::LEAVING,
        changing::REOPENING,
    ];
    let pages = [0, 1, 2, 3, 4, 8];
    let limits = pages.map(|it| Limit::Locked(it * 4096));
    within(&all, &limits, become_nobody);
}
