//! Sources in rings of the caller's: every kind of source in every kind of ring.

use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use signalfd::uring::{ReadSource, Source};
use signalfd::{
    Backend, Batch, Error, Kind, Op, Options, Receiver, SigInfo, Signal,
    SignalSet, Signals,
};

use crate::allocations::without_allocating;
use crate::common::{
    self, Child, DEADLINE, End, HeldCalls, OwnEpoll, forbid, is_pending,
    kernel_is_from, kill, pid, set_limit, set_mask, sigqueue,
    sigqueue_to_thread, storm_size, tid, wait_until, wait_until_asleep,
    without_memory,
};
use crate::failures::where_one_call_fails;
use crate::harness::{cases, skip, to_die_here};
use crate::rings::another_descriptor_of_the_ring;

cases! {
    a_hundred_thousand_by_polling,
    a_hundred_thousand_by_polling_in_every_ring,
    a_hundred_thousand_by_reading_in_every_ring,
    a_hundred_thousand_by_reads_of_one_shot_in_every_ring,
    a_hundred_thousand_by_registered_files,
    polling_sources_made_anew_in_the_storm,
    reading_sources_stopped_and_made_anew_in_the_storm,
    reading_sources_dropped_and_made_anew_in_the_storm,
    a_hundred_thousand_moderated_in_every_ring,
    signals_gather_while_a_source_waits,
    gathering_ends_when_half_of_the_completions_are_there,
    gathering_waits_where_there_is_room_for_one_completion,
    a_source_reads_once_more_before_the_loop_waits,
    a_moderated_source_reads_when_signals_have_gathered,
    what_comes_after_the_delay_is_told_in_every_ring,
    a_flood_of_one_signal_leaves_no_source_asleep,
    at_the_end_of_many_a_look_goes_along,
    what_a_look_has_found_is_announced,
    a_look_or_a_read_that_ends_with_its_thread,
    a_source_that_looks_is_stopped_and_dropped,
    a_child_that_a_handler_forks_while_a_loop_waits_is_told,
    one_system_call_for_half_a_thousand_signals,
    one_more_where_signals_are_read_as_they_come,
    more_than_the_buffers_hold,
    a_full_completion_queue,
    what_does_not_go_back_is_left_to_the_next_receiver,
    what_does_not_go_back_is_kept_without_memory_for_it,
    foreign_completions_change_nothing,
    completions_given_again_lose_nothing,
    an_end_that_is_heard_first_strands_nothing,
    a_receiver_whose_ring_reads_is_refused,
    a_source_is_armed_once,
    a_full_submission_queue_gives_the_entry_back,
    a_ring_of_the_wrong_kind_is_refused_with_a_reason,
    a_disabled_ring_works_once_it_is_enabled,
    a_number_of_buffers_that_is_taken,
    a_file_that_is_not_registered,
    a_file_that_is_another,
    a_file_that_has_an_end,
    a_group_of_a_small_number,
    a_ring_that_has_no_such_buffers,
    a_ring_that_does_not_take_the_buffers_anew,
    a_ring_that_has_no_memory_for_the_buffers_anew,
    a_ring_with_restrictions,
    a_ring_in_which_something_waits,
    a_kernel_that_would_wait_is_not_asked,
    a_ring_that_may_read_and_not_look,
    a_look_is_not_taken_for_a_read_that_was_cancelled,
    the_loop_of_the_readme,
    the_loop_of_the_readme_takes_what_was_left,
    the_loop_of_the_readme_goes_on_when_it_was_stopped,
    the_thread_that_armed_it_ends,
    signals_that_are_for_others_do_not_end_it,
    a_cancelled_source_rests_until_it_is_armed,
    the_ring_goes_first,
    a_forked_child_has_the_ring_too,
    a_child_that_drops_a_source_leaves_the_parents_alone,
    a_forgotten_source_does_no_harm,
    a_forgotten_request_reads_no_other_file,
    nothing_is_written_where_the_buffers_were,
    what_is_unmapped_was_cancelled_and_forgotten_before,
    what_is_removed_is_pending_again,
    a_removed_signal_that_was_read_ends_the_process => libc::SIGTERM,
    unblocked_signals_stay_with_their_handler_when_polling,
    unblocked_signals_are_taken_from_their_handler_when_reading,
    a_signal_for_a_thread_is_read_by_who_submits,
    a_signal_for_a_thread_is_taken_by_that_one_when_polling,
    a_sandbox_that_forbids_registering,
    nothing_is_allocated_by_sources,
    requests_of_the_caller_are_left_alone,
    dropped_before_it_is_submitted,
    dropped_before_the_kernels_thread_has_come_round,
    a_late_request_reads_no_other_file,
    stopped_before_it_is_submitted,
    stopped_when_it_has_ended,
    submitted_and_dropped_by_a_forked_child,
    submitted_by_a_forked_child_when_it_is_dropped,
    a_failed_source_can_still_be_read,
    a_source_is_as_it_was_when_the_queue_was_full,
    an_end_that_is_invented_is_not_believed,
    an_end_that_the_kernel_denies_is_refused,
    what_follows_an_invented_end_reads_no_other_file,
    a_late_request_that_cannot_be_refused_reads_no_other_file,
}

/// The `user_data` of a source.
const MINE: u64 = 7;
/// The number of its buffers.
const GROUP: u16 = 100;

/// What both kinds of source can do.
trait AnySource {
    fn needs_arming(&self) -> bool;
    fn push<E: squeue::EntryMarker>(
        &mut self,
        queue: &mut squeue::SubmissionQueue<'_, E>,
        user_data: u64,
    ) -> Result<(), Error>;
    fn complete(
        &mut self,
        completion: impl Into<cqueue::Entry>,
    ) -> Result<(), Error>;
    fn take<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error>;
    fn submit_and_wait<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        &self,
        ring: &mut IoUring<S, C>,
    ) -> Result<(), Error>;
}

macro_rules! any_source {
    ($name:ident) => {
        impl<R: AsRef<Receiver>> AnySource for $name<R> {
            fn needs_arming(&self) -> bool {
                self.needs_arming()
            }
            fn push<E: squeue::EntryMarker>(
                &mut self,
                queue: &mut squeue::SubmissionQueue<'_, E>,
                user_data: u64,
            ) -> Result<(), Error> {
                self.push(queue, user_data)
            }
            fn complete(
                &mut self,
                completion: impl Into<cqueue::Entry>,
            ) -> Result<(), Error> {
                self.complete(completion)
            }
            fn take<'b, const N: usize>(
                &mut self,
                batch: &'b mut Batch<N>,
            ) -> Result<&'b [SigInfo], Error> {
                self.take(batch)
            }
            fn submit_and_wait<
                S: squeue::EntryMarker,
                C: cqueue::EntryMarker,
            >(
                &self,
                ring: &mut IoUring<S, C>,
            ) -> Result<(), Error> {
                self.submit_and_wait(ring)
            }
        }
    };
}
any_source!(Source);
any_source!(ReadSource);

/// Makes a ring of each kind, and does something with each.
macro_rules! in_every_ring {
    (|$ring:ident| $do:expr) => {{
        for builder in builders() {
            let mut $ring: IoUring = builder.build(8).unwrap();
            $do
        }
        let mut $ring: IoUring<squeue::Entry128, cqueue::Entry32> =
            IoUring::builder().build(8).unwrap();
        $do
    }};
}

/// Of every kind that this kernel has.
fn builders() -> impl Iterator<Item = io_uring::Builder> {
    let can_be_built = |builder: &io_uring::Builder| {
        let ring: io::Result<IoUring> = builder.build(1);
        ring.is_ok() || kernel_is_from((6, 1))
    };
    all_builders().into_iter().filter(can_be_built)
}

fn all_builders() -> [io_uring::Builder; 4] {
    let mut coop = IoUring::builder();
    coop.setup_coop_taskrun().setup_taskrun_flag();
    let mut defer = IoUring::builder();
    defer.setup_single_issuer().setup_defer_taskrun();
    let mut kernel_thread = IoUring::builder();
    kernel_thread.setup_sqpoll(100);
    [IoUring::builder(), coop, defer, kernel_thread]
}

fn rt() -> Signal {
    Signal::rt(1).unwrap()
}

fn need_a_ring_that_tells() {
    if !kernel_is_from((5, 7)) {
        skip("a ring tells of signals since Linux 5.7");
    }
}

fn need_rings_that_read() {
    if !kernel_is_from((6, 0)) {
        skip("sources that read need Linux 6.0");
    }
}

fn need_all_kinds_of_rings() {
    if !kernel_is_from((6, 1)) {
        skip("some kinds of rings need Linux 6.1");
    }
}

/// The options for receivers of sources of every kind.
fn options() -> Options {
    need_rings_that_read();
    common::options()
}

fn open(set: impl Into<SignalSet>) -> Result<Signals, Error> {
    options().open(set)
}

/// Sends a number, as soon as there is room for it.
fn send(receiver: i32, value: i32) {
    wait_until("there is room in the queue", || {
        match sigqueue(receiver, rt(), value) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                false
            }
        }
    });
}

/// Lets another process send numbers from 0 up.
fn storm(count: i32) -> Child {
    let receiver = pid();
    Child::fork(move || {
        for value in 0..count {
            send(receiver, value);
        }
        0
    })
}

/// Queues numbers for this process.
fn queue(values: std::ops::Range<i32>) {
    values.for_each(|value| sigqueue(pid(), rt(), value).unwrap());
}

/// Arms the source if it wants to be.
fn arm<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
    user_data: u64,
) {
    while source.needs_arming() {
        let pushed = source.push(&mut ring.submission(), user_data);
        match pushed {
            // The kernel's thread has not come round to it.
            Err(Error::QueueFull) => drop(ring.submit().unwrap()),
            pushed => pushed.unwrap(),
        }
    }
}

/// Gives the source its completions; others are let go.
fn complete<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
    user_data: u64,
) {
    for completion in ring.completion() {
        let completion: cqueue::Entry = completion.into();
        if completion.user_data() == user_data {
            source.complete(completion).unwrap();
        }
    }
}

/// Takes all that the source has.
fn take(source: &mut impl AnySource, values: &mut Vec<i32>) {
    let mut batch = Batch::<64>::new();
    loop {
        let infos = source.take(&mut batch).unwrap();
        if infos.is_empty() {
            return;
        }
        values.extend(infos.iter().map(|info| info.value().unwrap()));
    }
}

/// One turn of the loop.
fn turn<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
    values: &mut Vec<i32>,
) {
    arm(ring, source, MINE);
    source.submit_and_wait(ring).unwrap();
    complete(ring, source, MINE);
    take(source, values);
}

fn a_hundred_thousand<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
) {
    let child = storm(storm_size());
    let mut values = Vec::new();
    while values.len() < storm_size() as usize {
        turn(ring, source, &mut values);
    }
    assert!(values.into_iter().eq(0..storm_size()), "in order, and once");
    child.wait_for_success();
}

/// In a ring that every kernel has which knows of rings.
fn a_hundred_thousand_by_polling() {
    need_a_ring_that_tells();
    let signals = common::open(rt()).unwrap();
    let mut ring: IoUring = IoUring::new(8).unwrap();
    a_hundred_thousand(&mut ring, &mut Source::new(&signals));
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn a_hundred_thousand_by_polling_in_every_ring() {
    let signals = open(rt()).unwrap();
    in_every_ring!(|ring| {
        let mut source = Source::new(&signals);
        a_hundred_thousand(&mut ring, &mut source);
    });
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn a_hundred_thousand_by_reading_in_every_ring() {
    let signals = open(rt()).unwrap();
    in_every_ring!(|ring| {
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        a_hundred_thousand(&mut ring, &mut source);
    });
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Has the kernel say that it knows requests up to this one, as an older kernel does.
fn have_it_know_requests(last: u8) {
    const IORING_REGISTER_PROBE: u64 = 8;
    let (tell, told) = std::sync::mpsc::channel::<HeldCalls>();
    // It begins before there is a filter that it would inherit.
    thread::spawn(move || {
        let held = told.recv().unwrap();
        while let Some(call) = held.wait_for_the_next() {
            if call.data.args[1] == IORING_REGISTER_PROBE {
                answer_probe(call.data.args[2], last);
                call.fail(0);
            } else {
                call.go_on();
            }
        }
    });
    match HeldCalls::each_once(Some(&[libc::SYS_io_uring_register])) {
        Ok(held) => tell.send(held).unwrap(),
        Err(_) => skip("seccomp cannot hold all system calls here"),
    }
}

/// Writes what the kernel would, while the thread that asks is held.
fn answer_probe(address: u64, last: u8) {
    /// `struct io_uring_probe`, and how many `struct io_uring_probe_op` follow.
    const HEAD: usize = 16;
    const OP: usize = 8;
    const IO_URING_OP_SUPPORTED: u8 = 1;
    let known = usize::from(last) + 1;
    let mut bytes = vec![0; HEAD + known * OP];
    bytes[..2].copy_from_slice(&[last, last + 1]);
    for (op, number) in bytes[HEAD..].chunks_exact_mut(OP).zip(0..) {
        op[0] = number;
        op[2] = IO_URING_OP_SUPPORTED;
    }
    let address = address.try_into().unwrap();
    let to = std::ptr::with_exposed_provenance_mut::<u8>(address);
    #[expect(unsafe_code, reason = "stands for the kernel")]
    // SAFETY: the caller has room for 256 operations there, for the kernel to write.
    unsafe {
        to.copy_from(bytes.as_ptr(), bytes.len());
    }
}

fn expect_one_shot<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
) {
    queue(0..1);
    arm(ring, source, MINE);
    ring.submit_and_wait(1).unwrap();
    for completion in ring.completion() {
        let completion: cqueue::Entry = completion.into();
        assert!(!cqueue::more(completion.flags()));
        source.complete(completion).unwrap();
    }
    let mut values = Vec::new();
    take(source, &mut values);
    assert_eq!(values, [0]);
}

/// As on kernels before 6.7.
fn a_hundred_thousand_by_reads_of_one_shot_in_every_ring() {
    let signals = open(rt()).unwrap();
    have_it_know_requests(opcode::ReadMulti::CODE - 1);
    in_every_ring!(|ring| {
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        expect_one_shot(&mut ring, &mut source);
        a_hundred_thousand(&mut ring, &mut source);
    });
    stopped_and_made_anew(&signals);
    dropped_and_made_anew(&signals);
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Before Linux 5.18, asked whether it can cancel at once, it would wait until the ring is
/// empty, and then say that it cannot.
fn a_kernel_that_would_wait_is_not_asked() {
    let signals = open(rt() | Signal::HUP).unwrap();
    let ring: IoUring = IoUring::new(8).unwrap();
    have_it_know_requests(opcode::UringCmd16::CODE - 1);
    let too_old = Error::Os { op: Op::UringRegister, errno: libc::EINVAL };
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    assert_eq!(error, too_old);
    assert!(error.to_string().contains("too old"), "{error}");
    let own = Options::new().backend(Backend::Uring).kind(Kind::Completion);
    let own = own.open(Signal::HUP).unwrap();
    assert_eq!(own.backend().fallback(), Some(too_old));
}

fn moderated(delay: Duration) -> Signals {
    options().moderate(delay, 64).open(rt()).unwrap()
}

/// The first batch of one signal, after which others gather.
fn first_batch<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    source: &mut impl AnySource,
) -> Vec<i32> {
    let mut values = Vec::new();
    queue(0..1);
    while values.is_empty() {
        turn(ring, source, &mut values);
    }
    values
}

fn a_hundred_thousand_moderated_in_every_ring() {
    let signals = moderated(Duration::from_micros(50));
    in_every_ring!(|ring| {
        a_hundred_thousand(&mut ring, &mut Source::new(&signals));
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        a_hundred_thousand(&mut ring, &mut source);
    });
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn signals_gather_while_a_source_waits() {
    const DELAY: Duration = Duration::from_millis(20);
    fn gather<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        ring: &mut IoUring<S, C>,
        source: &mut impl AnySource,
    ) {
        let mut values = Vec::new();
        let begin = Instant::now();
        queue(0..1);
        while values.is_empty() {
            turn(ring, source, &mut values);
        }
        let waiting = tid();
        thread::scope(|scope| {
            scope.spawn(move || {
                wait_until_asleep(waiting);
                queue(1..4);
            });
            while values.len() < 4 {
                turn(ring, source, &mut values);
            }
        });
        assert!(begin.elapsed() >= DELAY);
        assert_eq!(values, [0, 1, 2, 3]);
    }
    need_all_kinds_of_rings();
    in_every_ring!(|ring| {
        let signals = moderated(DELAY);
        gather(&mut ring, &mut Source::new(&signals));
        let signals = moderated(DELAY);
        let source = ReadSource::new(&signals, &ring, GROUP);
        gather(&mut ring, &mut source.unwrap());
    });
}

/// The first signal is not kept waiting, nor are completions that there are already, or that
/// there is no more room for.
fn gathering_ends_when_half_of_the_completions_are_there() {
    fn fill<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        ring: &mut IoUring<S, C>,
        source: &mut impl AnySource,
    ) {
        first_batch(ring, source);
        // Those that nobody has looked at keep it from waiting at all.
        submit(ring, opcode::Nop::new().build());
        wait_until("it is done", || !ring.completion().is_empty());
        // A thread of the kernel's says that it has taken it after that.
        wait_until("it is taken", || ring.submission().is_empty());
        source.submit_and_wait(ring).unwrap();
        ring.completion().for_each(drop);
        for _ in 0..ring.params().cq_entries() / 2 {
            push(ring, opcode::Nop::new().build());
        }
        source.submit_and_wait(ring).unwrap();
    }
    // Longer than any test.
    let long = Duration::from_secs(1000);
    need_all_kinds_of_rings();
    in_every_ring!(|ring| {
        let signals = moderated(long);
        fill(&mut ring, &mut Source::new(&signals));
        // What it has in the ring is not the next one's.
        ring.completion().for_each(drop);
        let signals = moderated(long);
        let source = ReadSource::new(&signals, &ring, GROUP);
        fill(&mut ring, &mut source.unwrap());
    });
}

/// What comes while a batch is handled takes no turn of the ring.
fn a_source_reads_once_more_before_the_loop_waits() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&signals);
    let mut batch = Batch::<4>::new();
    let mut take = |source: &mut Source<&Signals>| {
        let infos = source.take(&mut batch).unwrap();
        infos.iter().map(|it| it.value().unwrap()).collect::<Vec<_>>()
    };
    let mut announced = |source: &mut Source<&Signals>| {
        arm(&mut ring, source, MINE);
        source.submit_and_wait(&mut ring).unwrap();
        complete(&mut ring, source, MINE);
    };
    // As many in a row as may be.
    for value in 0..64 {
        queue(value..value + 1);
        assert_eq!(take(&mut source), [value]);
    }
    queue(64..65);
    assert_eq!(take(&mut source), [], "the ring has its turn");
    assert!(source.needs_arming());
    announced(&mut source);
    assert_eq!(take(&mut source), [64]);
    // One look in vain, and then nothing is read that nothing has announced.
    assert_eq!(take(&mut source), []);
    queue(65..66);
    assert_eq!(take(&mut source), []);
    announced(&mut source);
    assert_eq!(take(&mut source), [65]);
    queue(102..103);
    assert_eq!(take(&mut source), [102]);
    // Nor is there a look while the request is in the ring.
    arm(&mut ring, &mut source, MINE);
    queue(103..104);
    assert_eq!(take(&mut source), []);
    source.submit_and_wait(&mut ring).unwrap();
    complete(&mut ring, &mut source, MINE);
    assert_eq!(take(&mut source), [103]);
}

fn a_moderated_source_reads_when_signals_have_gathered() {
    let signals = moderated(Duration::from_secs(1000));
    let mut source = Source::new(&signals);
    let mut batch = Batch::<4>::new();
    queue(0..1);
    assert_eq!(source.take(&mut batch).unwrap().len(), 1);
    queue(1..2);
    assert_eq!(source.take(&mut batch).unwrap(), []);
    assert!(signals.try_recv().unwrap().is_some());
    // What is not moderated is read.
    let signals = open(Signal::HUP).unwrap();
    let mut source = Source::new(&signals);
    kill(pid(), Signal::HUP);
    assert_eq!(source.take(&mut batch).unwrap().len(), 1);
    kill(pid(), Signal::HUP);
    assert_eq!(source.take(&mut batch).unwrap().len(), 1);
}

fn gathering_waits_where_there_is_room_for_one_completion() {
    let signals = moderated(Duration::from_secs(1000));
    let ring = IoUring::builder().setup_cqsize(1).build(1);
    let mut ring: IoUring = ring.unwrap();
    let mut source = Source::new(&signals);
    let mut values = first_batch(&mut ring, &mut source);
    let waiting = tid();
    thread::scope(|scope| {
        scope.spawn(move || {
            wait_until_asleep(waiting);
            queue(1..2);
        });
        arm(&mut ring, &mut source, MINE);
        source.submit_and_wait(&mut ring).unwrap();
        complete(&mut ring, &mut source, MINE);
        take(&mut source, &mut values);
    });
    assert_eq!(values, [0, 1]);
}

/// A thread that lets signals gather for a while, in which none come, is woken by the next.
fn what_comes_after_the_delay_is_told_in_every_ring() {
    const DELAY: Duration = Duration::from_millis(2);
    fn wait<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        ring: &mut IoUring<S, C>,
        source: &mut impl AnySource,
    ) {
        let mut values = first_batch(ring, source);
        let waiting = tid();
        thread::scope(|scope| {
            scope.spawn(move || {
                // It has begun to gather, and that is over.
                let end = Instant::now() + 10 * DELAY;
                wait_until("it is over", || Instant::now() > end);
                wait_until_asleep(waiting);
                queue(1..2);
            });
            while values.len() < 2 {
                turn(ring, source, &mut values);
            }
        });
        assert_eq!(values, [0, 1]);
    }
    let signals = moderated(DELAY);
    in_every_ring!(|ring| {
        wait(&mut ring, &mut Source::new(&signals));
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        wait(&mut ring, &mut source);
    });
}

/// A standard signal that is pending is not announced again. So a ring that misses one
/// announcement sleeps for good, and nothing that is sent wakes it (`request.rs`).
fn a_flood_of_one_signal_leaves_no_source_asleep() {
    // What a source has read and nobody has taken goes back at the end.
    mem::forget(signalfd::block(Signal::USR1).unwrap());
    let signals = open(Signal::USR1).unwrap();
    for builder in builders() {
        let mut ring = builder.build(8).unwrap();
        flood(&mut ring, &mut Source::new(&signals));
        let mut ring = builder.build(8).unwrap();
        let source = ReadSource::new(&signals, &ring, GROUP);
        flood(&mut ring, &mut source.unwrap());
    }
}

fn flood(ring: &mut IoUring, source: &mut impl AnySource) {
    const END: u64 = 8;
    let receiver = pid();
    let (theirs, ours) = UnixStream::pair().unwrap();
    let child = Child::fork(move || {
        (0..storm_size()).for_each(|_| kill(receiver, Signal::USR1));
        0
    });
    // The child has it, and closes it when it ends.
    drop(theirs);
    let ours = types::Fd(ours.as_raw_fd());
    let end = opcode::PollAdd::new(ours, libc::POLLIN as u32).build();
    submit(ring, end.user_data(END));
    let deadline = types::Timespec::new().sec(DEADLINE.as_secs());
    let arguments = types::SubmitArgs::new().timespec(&deadline);
    let (mut has_ended, mut batch) = (false, Batch::<64>::new());
    while !has_ended || is_pending(Signal::USR1) {
        arm(ring, source, MINE);
        let waited = ring.submitter().submit_with_args(1, &arguments);
        if let Err(error) = waited {
            let kind = std::io::ErrorKind::Interrupted;
            assert_eq!(error.kind(), kind, "somebody wakes this thread");
        }
        for completion in ring.completion() {
            match completion.user_data() {
                END => has_ended = true,
                _ => source.complete(completion).unwrap(),
            }
        }
        while !source.take(&mut batch).unwrap().is_empty() {}
    }
    child.wait_for_success();
}

/// Takes so many that the source asks for a look, and puts that into the ring. Only where
/// reads stand; one of one shot looks when it is made.
fn have_it_look(ring: &mut IoUring, source: &mut ReadSource<&Signals>) {
    let mut values = Vec::new();
    queue(0..128);
    while values.len() < 128 {
        turn(ring, source, &mut values);
    }
    assert!(source.needs_arming());
    arm(ring, source, MINE);
    assert_eq!(source.arm(MINE).unwrap_err(), Error::AlreadyArmed);
}

/// What a read that stands may have overlooked came last, so it is the end of many that
/// is looked at. It costs no system call, of which who waits for an edge would hear.
fn at_the_end_of_many_a_look_goes_along() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    let (other, epoll) = OwnEpoll::of_announcements(Signal::HUP);
    // It looks at them when it is entered, at all of them.
    let [.., defer, _] = all_builders();
    let mut ring: IoUring = defer.build(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let bursts =
        [(127, false), (1, true), (127, false), (200, true), (1, false)];
    for (count, can_overlook) in bursts {
        queue(0..count);
        assert!(epoll.is_ready(), "they are announced");
        let mut values = Vec::new();
        while values.len() < count as usize {
            turn(&mut ring, &mut source, &mut values);
        }
        assert!(values.into_iter().eq(0..count));
        assert_eq!(source.needs_arming(), can_overlook, "{count}");
        assert!(!epoll.is_ready(), "nothing is announced again");
    }
    other.try_recv().unwrap().unwrap();
}

/// A poll of something else, which the source takes for its look, says that there is
/// something, and the read brings nothing. Neither does it after a second look.
fn what_a_look_has_found_is_announced() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    let (other, epoll) = OwnEpoll::of_announcements(Signal::HUP);
    for builder in builders() {
        let mut ring = builder.build(8).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        have_it_look(&mut ring, &mut source);
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(&[0]).unwrap();
        let ours = types::Fd(ours.as_raw_fd());
        assert!(epoll.is_ready(), "they were announced");
        for is_second in [false, true] {
            let found = opcode::PollAdd::new(ours, libc::POLLIN as u32).build();
            submit(&mut ring, found.user_data(MINE));
            ring.submit_and_wait(1).unwrap();
            assert!(!epoll.is_ready());
            complete(&mut ring, &mut source, MINE);
            take(&mut source, &mut Vec::new());
            assert_eq!(source.needs_arming(), !is_second);
            arm(&mut ring, &mut source, MINE);
        }
        assert!(epoll.is_ready(), "they are announced again");
    }
    other.try_recv().unwrap().unwrap();
}

/// Their last completions are alike, so either of them ends the other one.
fn a_look_or_a_read_that_ends_with_its_thread() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    for [reads, looks] in [[true, false], [false, true], [true, true]] {
        let mut ring: IoUring = IoUring::new(8).unwrap();
        let fd = ring.as_raw_fd();
        let (tell, told) = channel();
        let (done, is_done) = channel();
        let other = thread::spawn(move || {
            for () in told {
                #[expect(unsafe_code, reason = "submits for another thread")]
                // SAFETY: it is given no pointer.
                let submitted = unsafe {
                    libc::syscall(libc::SYS_io_uring_enter, fd, 1, 0, 0, 0, 0)
                };
                assert_eq!(submitted, 1);
                done.send(()).unwrap();
            }
        });
        let submit = |ring: &IoUring, by_other: bool| {
            if by_other {
                tell.send(()).unwrap();
                is_done.recv().unwrap();
            } else {
                assert_eq!(ring.submit().unwrap(), 1);
            }
        };
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        submit(&ring, reads);
        have_it_look(&mut ring, &mut source);
        submit(&ring, looks);
        drop((tell, is_done));
        other.join().unwrap();
        let mut values = Vec::new();
        queue(0..1000);
        while values.len() < 1000 {
            turn(&mut ring, &mut source, &mut values);
        }
        assert!(values.into_iter().eq(0..1000));
    }
}

/// Whatever it is about to do.
fn a_source_that_looks_is_stopped_and_dropped() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    for builder in builders() {
        for is_stopped in [true, false] {
            let mut ring = builder.build(8).unwrap();
            let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
            have_it_look(&mut ring, &mut source);
            ring.submit().unwrap();
            // A thread of the kernel's may not have come round to it.
            wait_until("it looks", || ring.submission().is_empty());
            queue(0..3);
            let mut values = Vec::new();
            if is_stopped {
                source.stop().unwrap();
                take(&mut source, &mut values);
                assert!(!source.needs_arming());
                complete(&mut ring, &mut source, MINE);
                assert!(!source.needs_arming());
            }
            drop(source);
            let mut rest = Batch::<8>::new();
            let rest = signals.try_recv_batch(&mut rest).unwrap();
            values.extend(rest.iter().map(|info| info.value().unwrap()));
            let is_polled = ring.params().is_setup_sqpoll();
            if is_polled && !is_stopped {
                // That thread may have read a part, which goes back behind the rest.
                values.sort_unstable();
            }
            assert_eq!(values, [0, 1, 2]);
            if is_polled {
                // What has ended is told of whenever that thread comes round to it.
                continue;
            }
            // Nothing of it is left in the ring.
            completions_of_mine(&mut ring);
            queue(0..1);
            assert_eq!(completions_of_mine(&mut ring), 0);
            signals.try_recv().unwrap().unwrap();
        }
    }
}

/// Lets the ring do what it has to do, and counts what it says of sources, but that they were
/// cancelled: on some kernels that comes later.
fn completions_of_mine(ring: &mut IoUring) -> usize {
    submit(ring, opcode::Nop::new().build().user_data(MINE + 1));
    let mut count = 0;
    let mut is_done = false;
    while !is_done {
        ring.submit_and_wait(1).unwrap();
        for completion in ring.completion() {
            is_done |= completion.user_data() == MINE + 1;
            let is_mine = completion.user_data() == MINE;
            let was_cancelled = completion.result() == -libc::ECANCELED;
            count += usize::from(is_mine && !was_cancelled);
        }
    }
    count
}

fn a_hundred_thousand_by_registered_files() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    ring.submitter().register_files(&[-1, signals.as_raw_fd()]).unwrap();
    let mut source = Source::new(&signals).registered(1);
    a_hundred_thousand(&mut ring, &mut source);
    // It may have ended by itself.
    if let Some(entry) = source.cancel(0) {
        submit(&mut ring, entry);
    }
    drop(ring);

    let mut ring = IoUring::new(8).unwrap();
    ring.submitter().register_files(&[-1, signals.as_raw_fd()]).unwrap();
    let source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    a_hundred_thousand(&mut ring, &mut source.registered(1));
}

/// Sources are made anew this often in each ring.
fn rounds() -> i32 {
    if storm_size() < 100_000 { 100 } else { 1000 }
}

/// How many signals come for each source.
fn share() -> i32 {
    storm_size() / rounds()
}

/// A storm that is never far ahead of who receives it: a share more comes for each
/// byte that is written.
fn storm_in_shares() -> (Child, UnixStream) {
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    let receiver = pid();
    let child = Child::fork(move || {
        for value in 0..storm_size() {
            if value % share() == 0 {
                theirs.read_exact(&mut [0]).unwrap();
            }
            send(receiver, value);
        }
        0
    });
    (child, ours)
}

/// Makes sources anew in the middle of a storm, a thousand times. `last` ends each, and
/// `check` looks at what came of the storm.
fn made_anew<S: squeue::EntryMarker, C: cqueue::EntryMarker, A: AnySource>(
    ring: &mut IoUring<S, C>,
    signals: &Signals,
    mut make: impl FnMut(&IoUring<S, C>) -> A,
    mut last: impl FnMut(A, &mut IoUring<S, C>, &mut Vec<i32>),
    check: impl Fn(Vec<i32>),
) {
    let (child, mut more) = storm_in_shares();
    // One share is always on its way when a source ends.
    more.write_all(&[0]).unwrap();
    let mut values = Vec::new();
    let mut batch = Batch::<64>::new();
    for round in 1..=rounds() {
        if round < rounds() {
            more.write_all(&[0]).unwrap();
        }
        let user_data = u64::try_from(round).unwrap();
        let mut source = make(ring);
        arm(ring, &mut source, user_data);
        ring.submit().unwrap();
        // The kernel's thread takes its time.
        wait_until("it is taken", || ring.submission().is_empty());
        while values.len() < usize::try_from(round * share()).unwrap() {
            let infos = source.take(&mut batch).unwrap();
            values.extend(infos.iter().map(|info| info.value().unwrap()));
            if infos.is_empty() {
                arm(ring, &mut source, user_data);
                ring.submit_and_wait(1).unwrap();
                complete(ring, &mut source, user_data);
            }
        }
        last(source, ring, &mut values);
    }
    child.wait_for_success();
    assert_eq!(signals.try_recv().unwrap(), None);
    check(values);
}

fn in_order(values: Vec<i32>) {
    assert!(values.into_iter().eq(0..storm_size()), "in order, and once");
}

fn in_any_order(mut values: Vec<i32>) {
    values.sort_unstable();
    assert!(values.into_iter().eq(0..storm_size()), "none is lost or doubled");
}

fn polling_sources_made_anew_in_the_storm() {
    let signals = open(rt()).unwrap();
    in_every_ring!(|ring| {
        let make = |_: &_| Source::new(&signals);
        let last = |mut source: Source<_>, ring: &mut _, _: &mut _| {
            if let Some(entry) = source.cancel(0) {
                submit(ring, entry);
            }
        };
        made_anew(&mut ring, &signals, make, last, in_order);
    });
}

fn reading_sources_stopped_and_made_anew_in_the_storm() {
    stopped_and_made_anew(&open(rt()).unwrap());
}

fn stopped_and_made_anew(signals: &Signals) {
    in_every_ring!(|ring| {
        let mut groups = GROUP..;
        let make = |ring: &_| {
            ReadSource::new(signals, ring, groups.next().unwrap()).unwrap()
        };
        let last = |mut source: ReadSource<_>, _: &mut _, values: &mut _| {
            source.stop().unwrap();
            take(&mut source, values);
        };
        made_anew(&mut ring, signals, make, last, in_order);
    });
}

fn reading_sources_dropped_and_made_anew_in_the_storm() {
    dropped_and_made_anew(&open(rt()).unwrap());
}

fn dropped_and_made_anew(signals: &Signals) {
    in_every_ring!(|ring| {
        let mut groups = GROUP..;
        let make = |ring: &_| {
            ReadSource::new(signals, ring, groups.next().unwrap()).unwrap()
        };
        let last = |source, _: &mut _, _: &mut _| drop(source);
        made_anew(&mut ring, signals, make, last, in_any_order);
    });
}

fn submit<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    entry: squeue::Entry,
) {
    push(ring, entry);
    ring.submit().unwrap();
}

fn push<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    entry: squeue::Entry,
) {
    #[expect(unsafe_code, reason = "what the caller of a ring does")]
    // SAFETY: neither a cancellation nor a no-op names memory.
    unsafe { ring.submission().push(&entry.into()) }.unwrap();
}

/// A loop that makes no other system call, looks for completions before it waits, and
/// has room for one for each buffer.
fn one_system_call_for_half_a_thousand_signals() {
    const DEPTH: i32 = 512;
    let signals = open(rt()).unwrap();
    let ready = builders().map(|mut builder| {
        let ring: IoUring = builder.setup_cqsize(128).build(8).unwrap();
        let source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        (ring, source)
    });
    let mut ready: Vec<_> = ready.collect();
    // A thread of the kernel's may be slower than this one, which then waits for
    // each buffer.
    let by_buffer = 0.04;
    let at_once = if has_many_shots() { 0.003 } else { 0.02 };
    // Taking them needs no read, and nobody is woken. What is left of this one is ignored.
    let (_other, epoll) = OwnEpoll::of_announcements(Signal::CHLD);
    forbid(libc::SYS_read, libc::EPERM);
    for (ring, source) in &mut ready {
        let mut values = Vec::new();
        let mut enters = 0;
        for round in 0..10 {
            queue(round * DEPTH..(round + 1) * DEPTH);
            assert!(epoll.is_ready(), "they are announced");
            loop {
                complete(ring, source, MINE);
                take(source, &mut values);
                if values.len() == ((round + 1) * DEPTH) as usize {
                    break;
                }
                arm(ring, source, MINE);
                ring.submit_and_wait(1).unwrap();
                enters += 1;
            }
            assert!(!epoll.is_ready(), "nothing is announced again");
        }
        assert!(values.into_iter().eq(0..10 * DEPTH));
        let each = f64::from(enters) / f64::from(10 * DEPTH);
        println!("{enters} system calls, {each} for a signal");
        let is_polled = ring.params().is_setup_sqpoll();
        assert!(each <= if is_polled { by_buffer } else { at_once });
        source.stop().unwrap();
    }
}

/// The request then ends for lack of buffers, and the kernel is asked whether it has.
fn one_more_where_signals_are_read_as_they_come() {
    const DEPTH: i32 = 512;
    const ROUNDS: i32 = 10;
    need_many_shots();
    let signals = open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let [default, coop, ..] = all_builders();
    for mut builder in [default, coop] {
        let (tell, told) = channel();
        let (begin, has_begun) = channel();
        let mut calls = 0;
        thread::scope(|scope| {
            scope.spawn(move || {
                let register = [libc::SYS_io_uring_register];
                tell.send(HeldCalls::of_this_thread(&register)).unwrap();
                let mut ring: IoUring =
                    builder.setup_cqsize(128).build(8).unwrap();
                let mut source =
                    ReadSource::new(receiver, &ring, GROUP).unwrap();
                let mut values = Vec::new();
                begin.send(()).unwrap();
                for round in 1..=ROUNDS {
                    queue(0..DEPTH);
                    while values.len() < (round * DEPTH) as usize {
                        turn(&mut ring, &mut source, &mut values);
                    }
                }
                std::mem::forget(source);
            });
            let Ok(held) = told.recv().unwrap() else {
                skip("seccomp cannot hold system calls here");
            };
            while held.before_the_next(|_| {
                calls += i32::from(has_begun.try_recv().is_ok() || calls > 0);
            }) {}
        });
        assert!((1..=ROUNDS).contains(&calls), "{calls}");
    }
}

fn need_many_shots() {
    if !has_many_shots() {
        skip("multishot reads need Linux 6.7");
    }
}

/// Whether a read may be answered more than once.
fn has_many_shots() -> bool {
    if !kernel_is_from((5, 6)) {
        // There is nobody to ask.
        return false;
    }
    let mut probe = io_uring::Probe::new();
    let ring = IoUring::new(2).unwrap();
    ring.submitter().register_probe(&mut probe).unwrap();
    probe.is_supported(opcode::ReadMulti::CODE)
}

fn more_than_the_buffers_hold() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_cqsize(256);
    let mut ring: IoUring = builder.build(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    // One by one they fill a buffer each.
    queue(0..1000);
    complete(&mut ring, &mut source, MINE);
    // The request has ended, and there is no room for another one.
    assert!(!has_many_shots() || !source.needs_arming());
    let mut values = Vec::new();
    take(&mut source, &mut values);
    assert_eq!(values.len(), if has_many_shots() { 64 } else { 1 });
    assert!(source.needs_arming());
    while values.len() < 1000 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert!(values.into_iter().eq(0..1000));
}

fn a_full_completion_queue() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_cqsize(2);
    let mut ring: IoUring = builder.build(2).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let mut values = Vec::new();
    for round in 0..20 {
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        queue(round * 10..(round + 1) * 10);
    }
    while values.len() < 200 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert!(values.into_iter().eq(0..200));
}

/// A user's queue is filled while a ring has read ahead.
fn what_does_not_go_back_is_left_to_the_next_receiver() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    queue(0..10);
    arm(&mut ring, &mut source, MINE);
    ring.submit_and_wait(1).unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    drop(source);
    // The order is kept, too, since nothing went back.
    for value in 0..10 {
        let info = signals.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(value));
    }
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn what_does_not_go_back_is_kept_without_memory_for_it() {
    let signals = open(rt() | Signal::TERM).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    queue(0..100);
    kill(pid(), Signal::TERM);
    arm(&mut ring, &mut source, MINE);
    ring.submit_and_wait(1).unwrap();
    let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
    without_memory(|| drop(source));
    let (mut ended, mut values) = (false, Vec::new());
    while let Some(info) = signals.try_recv().unwrap() {
        ended |= info.signal() == Signal::TERM;
        values.extend(info.value());
    }
    assert!(ended, "a standard signal always goes back");
    assert!(values.into_iter().eq(0..100));

    // What comes afterwards is found as well, and again there is room for it.
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, before);
    queue(100..103);
    source.push(&mut ring.submission(), MINE + 1).unwrap();
    ring.submit_and_wait(1).unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    without_memory(|| drop(source));
    let left = (0..3).map(|_| signals.try_recv().unwrap().unwrap().value());
    assert!(left.eq([100, 101, 102].map(Some)));
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn foreign_completions_change_nothing() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    // Completions of something else, with the same user_data.
    let nop = opcode::Nop::new().build().user_data(MINE);
    submit(&mut ring, nop);
    let invented: cqueue::Entry = ring.completion().next().unwrap();
    let other = opcode::Nop::new().build().user_data(MINE + 1);
    submit(&mut ring, other);
    let others: cqueue::Entry = ring.completion().next().unwrap();

    let mut source = Source::new(&signals);
    let foreign = Err(Error::ForeignCompletion);
    assert_eq!(source.complete(invented.clone()), foreign, "nothing is armed");
    arm(&mut ring, &mut source, MINE);
    assert_eq!(source.complete(others.clone()), foreign);
    assert!(!source.needs_arming());
    let entry = source.cancel(0).unwrap();
    submit(&mut ring, entry);
    while ring.completion().next().is_some() {}

    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    assert_eq!(source.complete(invented.clone()), foreign);
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    assert_eq!(source.complete(others), foreign);
    assert_eq!(source.complete(invented), foreign, "it names no buffer");
    assert!(!source.needs_arming());

    queue(0..3);
    let mut values = Vec::new();
    while values.len() < 3 {
        arm(&mut ring, &mut source, MINE);
        ring.submit_and_wait(1).unwrap();
        let all: Vec<cqueue::Entry> = ring.completion().collect();
        for one in all {
            source.complete(one.clone()).unwrap();
            let again = source.complete(one.clone());
            take(&mut source, &mut values);
            let late = source.complete(one);
            // A last completion may look like that of the next request; what
            // counts is that nothing comes twice.
            assert!(again == foreign || again.is_ok());
            assert!(late == foreign || late.is_ok());
            take(&mut source, &mut values);
        }
    }
    assert_eq!(values, [0, 1, 2]);
}

/// Those of one record each are given again where each buffer holds five.
fn completions_given_again_lose_nothing() {
    need_all_kinds_of_rings();
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    let mut ring: IoUring = builder.build(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let (mut values, mut sent) = (Vec::new(), 0);
    let mut old: Vec<cqueue::Entry> = Vec::new();
    for round in 0..128 {
        let count = if round < 64 { 1 } else { 5 };
        queue(sent..sent + count);
        sent += count;
        arm(&mut ring, &mut source, MINE);
        ring.submit_and_wait(1).unwrap();
        let new: Vec<cqueue::Entry> = ring.completion().collect();
        if round < 64 {
            old.extend_from_slice(&new);
        } else {
            for entry in &old {
                let _given = source.complete(entry.clone());
            }
        }
        for entry in new {
            let _given = source.complete(entry);
        }
        take(&mut source, &mut values);
    }
    source.stop().unwrap();
    take(&mut source, &mut values);
    while let Some(info) = signals.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    values.sort_unstable();
    assert!(values.into_iter().eq(0..sent));
}

/// That of a read that has filled all buffers, before what it has filled.
fn an_end_that_is_heard_first_strands_nothing() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_cqsize(128);
    let mut ring: IoUring = builder.build(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    // Each is read as it comes.
    queue(0..100);
    let mut told: Vec<cqueue::Entry> = ring.completion().collect();
    let last = told.pop().unwrap();
    assert_eq!((last.result(), told.len()), (-libc::ENOBUFS, 64));
    source.complete(last).unwrap();
    for entry in told {
        assert_eq!(source.complete(entry), Err(Error::ForeignCompletion));
    }
    let mut values = Vec::new();
    take(&mut source, &mut values);
    assert!(values.iter().copied().eq(0..64));
    while values.len() < 100 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert!(values.into_iter().eq(0..100));
}

fn a_source_is_armed_once() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&signals);
    source.arm(MINE).unwrap();
    assert_eq!(source.arm(MINE).unwrap_err(), Error::AlreadyArmed);
    let pushed = source.push(&mut ring.submission(), MINE);
    assert_eq!(pushed, Err(Error::AlreadyArmed));
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    assert_eq!(source.arm(MINE).unwrap_err(), Error::AlreadyArmed);
    let text = Error::AlreadyArmed.to_string();
    assert!(text.contains("needs_arming"), "{text}");
}

fn a_receiver_whose_ring_reads_is_refused() {
    need_rings_that_read();
    let ring: IoUring = IoUring::new(8).unwrap();
    let options = common::options().backend(Backend::Uring);
    let signals = options.kind(Kind::Completion).open(rt()).unwrap();
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    assert_eq!(error, Error::ReadsAlready);

    // If it has failed for one thread, it may read on for another.
    let receiver: &Receiver = &signals;
    thread::scope(|scope| {
        scope.spawn(|| {
            forbid(libc::SYS_io_uring_enter, libc::EPERM);
            // The request of before ends with it.
            kill(pid(), rt());
            let mut has_come = false;
            wait_until("the signal has come and the ring has failed", || {
                has_come |= receiver.try_recv().unwrap().is_some();
                has_come && receiver.backend().fallback().is_some()
            });
        });
    });
    assert_eq!(signals.backend().kind(), None);
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    assert_eq!(error, Error::ReadsAlready);

    let signals = options.kind(Kind::Readiness).open(rt()).unwrap();
    assert!(ReadSource::new(&signals, &ring, GROUP).is_ok());
}

fn a_full_submission_queue_gives_the_entry_back() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(2).unwrap();
    let mut source = Source::new(&signals);
    let fill = |ring: &mut IoUring| loop {
        let nop = opcode::Nop::new().build().user_data(0);
        #[expect(unsafe_code, reason = "what the caller of a ring does")]
        // SAFETY: it names no memory.
        if unsafe { ring.submission().push(&nop) }.is_err() {
            return;
        }
    };
    fill(&mut ring);
    let pushed = source.push(&mut ring.submission(), MINE);
    assert_eq!(pushed, Err(Error::QueueFull));
    assert!(source.needs_arming());
    ring.submit().unwrap();
    complete(&mut ring, &mut source, MINE);
    queue(0..2);
    let mut values = Vec::new();
    while values.len() < 2 {
        turn(&mut ring, &mut source, &mut values);
    }

    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    fill(&mut ring);
    let pushed = source.push(&mut ring.submission(), MINE);
    assert_eq!(pushed, Err(Error::QueueFull));
    assert!(source.needs_arming());
    ring.submit().unwrap();
    complete(&mut ring, &mut source, MINE);

    // What was known of the request before is known after.
    queue(0..1);
    values.clear();
    while values.is_empty() {
        turn(&mut ring, &mut source, &mut values);
    }
    source.stop().unwrap();
    complete(&mut ring, &mut source, MINE);
    fill(&mut ring);
    let pushed = source.push(&mut ring.submission(), MINE);
    assert_eq!(pushed, Err(Error::QueueFull));
    drop(source);
    assert!(ReadSource::new(&signals, &ring, GROUP).is_ok());
}

fn a_ring_of_the_wrong_kind_is_refused_with_a_reason() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_iopoll();
    let mut ring: IoUring = builder.build(8).unwrap();

    let mut source = Source::new(&signals);
    let error = fail(&mut ring, &mut source);
    assert!(matches!(error, Error::Os { op: Op::UringPoll, .. }), "{error}");
    assert!(error.to_string().contains("IORING_SETUP_IOPOLL"), "{error}");
    assert_eq!(source.arm(MINE).unwrap_err(), error, "it stays so");

    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let error = fail(&mut ring, &mut source);
    assert!(matches!(error, Error::Os { op: Op::UringRead, .. }), "{error}");
    assert!(error.to_string().contains("IORING_SETUP_IOPOLL"), "{error}");
    assert_eq!(source.arm(MINE).unwrap_err(), error, "it stays so");
    drop(source);

    // Nothing was taken by that.
    queue(0..1);
    assert_eq!(signals.wait().unwrap().value(), Some(0));
}

/// Arms a source until it fails.
fn fail(ring: &mut IoUring, source: &mut impl AnySource) -> Error {
    for _ in 0..10 {
        arm(ring, source, MINE);
        ring.submit().unwrap();
        for completion in ring.completion() {
            if let Err(error) = source.complete(completion) {
                assert!(!source.needs_arming());
                return error;
            }
        }
    }
    panic!("it is armed again and again");
}

fn a_disabled_ring_works_once_it_is_enabled() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_r_disabled();
    let mut ring: IoUring = builder.build(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    let error = source.submit_and_wait(&mut ring).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
    assert!(error.to_string().contains("enable it first"), "{error}");
    let error = ring.submit().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
    ring.submitter().register_enable_rings().unwrap();
    queue(0..2);
    let mut values = Vec::new();
    while values.len() < 2 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert_eq!(values, [0, 1]);
}

fn a_number_of_buffers_that_is_taken() {
    let signals = open(rt()).unwrap();
    let ring = IoUring::new(8).unwrap();
    let _first = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    let taken = Error::Os { op: Op::UringRegister, errno: libc::EEXIST };
    assert_eq!(error, taken);
    assert!(error.to_string().contains("this number"), "{error}");
    ReadSource::new(&signals, &ring, GROUP + 1).unwrap();
}

fn a_file_that_is_not_registered() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&signals).registered(5);
    let error = fail(&mut ring, &mut source);
    let none = Error::Os { op: Op::UringPoll, errno: libc::EBADF };
    assert_eq!(error, none);
    assert!(error.to_string().contains("register"), "{error}");
}

/// What it says makes records, and does no other harm.
fn a_file_that_is_another() {
    let signals = open(rt()).unwrap();
    let (file, mut far) = UnixStream::pair().unwrap();
    file.set_nonblocking(true).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    ring.submitter().register_files(&[file.as_raw_fd()]).unwrap();
    let source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let mut source = source.registered(0);
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    // Not a signal, a signal with any other bytes, and half a record.
    let mut bytes = [0xA5; 320];
    bytes[128..132].copy_from_slice(&rt().as_raw().to_ne_bytes());
    far.write_all(&bytes).unwrap();
    ring.submit_and_wait(1).unwrap();
    complete(&mut ring, &mut source, MINE);
    let mut batch = Batch::<4>::new();
    let infos = source.take(&mut batch).unwrap();
    assert_eq!(infos.iter().map(SigInfo::signal).collect::<Vec<_>>(), [rt()]);
    println!("{}", infos[0]);
}

/// A signalfd has no end. To read this one once more would bring the same, for ever.
fn a_file_that_has_an_end() {
    let signals = open(rt()).unwrap();
    let (file, far) = UnixStream::pair().unwrap();
    file.set_nonblocking(true).unwrap();
    drop(far);
    let mut ring = IoUring::new(8).unwrap();
    ring.submitter().register_files(&[file.as_raw_fd()]).unwrap();
    let source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let mut source = source.registered(0);
    arm(&mut ring, &mut source, MINE);
    ring.submit_and_wait(1).unwrap();
    let completion = ring.completion().next().unwrap();
    let error = source.complete(completion).unwrap_err();
    assert_eq!(error, Error::Os { op: Op::UringRead, errno: libc::EBADF });
    assert!(!source.needs_arming());
    assert_eq!(source.arm(MINE).unwrap_err(), error);
}

/// Where the kernel would go on with the next as with the one before it.
fn a_group_of_a_small_number() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    for value in 0..100 {
        let source = ReadSource::new(&signals, &ring, 63);
        if !kernel_is_from((6, 9)) {
            let error = source.unwrap_err();
            let edom = Error::Os { op: Op::UringRegister, errno: libc::EDOM };
            assert_eq!(error, edom);
            assert!(error.to_string().contains("64"), "{error}");
            return;
        }
        queue(value..value + 1);
        let (mut source, mut values) = (source.unwrap(), Vec::new());
        // The completions of those before may still come.
        let user_data = 1000 + value as u64;
        while values.is_empty() {
            arm(&mut ring, &mut source, user_data);
            source.submit_and_wait(&mut ring).unwrap();
            complete(&mut ring, &mut source, user_data);
            take(&mut source, &mut values);
        }
        assert_eq!(values, [value]);
    }
}

/// Each request ends at once, whether a signal is pending or not. Who went on to make them
/// would do nothing else, and hear of no signal.
fn a_ring_that_has_no_such_buffers() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let others: IoUring = IoUring::new(8).unwrap();
    for is_another_ring in [true, false] {
        let made_with = if is_another_ring { &others } else { &ring };
        let mut source = ReadSource::new(&signals, made_with, GROUP).unwrap();
        if !is_another_ring {
            ring.submitter().unregister_buf_ring(GROUP).unwrap();
        }
        queue(0..1);
        if is_another_ring {
            let heard = hear(&mut ring, &mut source);
            assert_eq!(heard, Ok(()), "there may have been none left");
        }
        let error = hear(&mut ring, &mut source).unwrap_err();
        assert_eq!(
            error,
            Error::Os { op: Op::UringRead, errno: libc::ENOBUFS }
        );
        assert!(error.to_string().contains("made with"), "{error}");
        assert!(!source.needs_arming());
        assert!(source.take(&mut Batch::<8>::new()).unwrap().is_empty());
        drop(source);
        assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
    }
}

/// Where buffers that are used up cannot be had anew, the error says why.
fn a_ring_that_does_not_take_the_buffers_anew() {
    let signals = open(rt()).unwrap();
    let calls = [PROBE, REGISTER_BUFFERS, SYNC_CANCEL];
    let only = restricted(&[], &calls);
    let mut source = ReadSource::new(&signals, &only, GROUP).unwrap();
    let error = fail_for_want_of_buffers(&mut source);
    let eacces = Error::Os { op: Op::UringRegister, errno: libc::EACCES };
    assert_eq!(error, eacces);
    assert!(error.to_string().contains("restrictions"), "{error}");
}

/// The group is forgotten then, and its number may be another's.
fn a_ring_that_has_no_memory_for_the_buffers_anew() {
    let _blocked = open(rt()).unwrap();
    // It is asked whether the read has ended, the group is forgotten, and it is asked again.
    for calls in 2..=3 {
        let register = libc::SYS_io_uring_register;
        where_one_call_fails(register, libc::ENOMEM, |begin| {
            let options = signalfd::Options::new().check_threads(false);
            let signals = options.open(rt()).unwrap();
            let mut ring = IoUring::new(8).unwrap();
            let mut first = ReadSource::new(&signals, &ring, GROUP).unwrap();
            begin(calls);
            let error = fail_for_want_of_buffers(&mut first);
            let op = Op::UringRegister;
            assert_eq!(error, Error::Os { op, errno: libc::ENOMEM });
            let mut second = ReadSource::new(&signals, &ring, GROUP).unwrap();
            drop(first);
            queue(0..3);
            let mut values = Vec::new();
            while values.len() < 3 {
                turn(&mut ring, &mut second, &mut values);
            }
            assert_eq!(values, [0, 1, 2]);
        });
    }
}

/// Has the source read in a ring that has no group of its number.
fn fail_for_want_of_buffers(source: &mut ReadSource<&Signals>) -> Error {
    let mut ring = IoUring::new(8).unwrap();
    let error = hear(&mut ring, source).unwrap_err();
    assert!(!source.needs_arming());
    assert_eq!(source.arm(MINE).unwrap_err(), error, "it stays so");
    error
}

/// Arms a source, and gives it the first completion.
fn hear(
    ring: &mut IoUring,
    source: &mut ReadSource<&Signals>,
) -> Result<(), Error> {
    arm(ring, source, MINE);
    ring.submit_and_wait(1).unwrap();
    let completion = ring.completion().next().unwrap();
    source.complete(completion)
}

// What a source asks of a ring (include/uapi/linux/io_uring.h).
const PROBE: u8 = 8;
const REGISTER_BUFFERS: u8 = 22;
const UNREGISTER_BUFFERS: u8 = 23;
const SYNC_CANCEL: u8 = 24;

/// A ring in which there may be only these requests, and only these operations of
/// `io_uring_register(2)`.
fn restricted(requests: &[u8], operations: &[u8]) -> IoUring {
    use io_uring::register::Restriction;
    let mut builder = IoUring::builder();
    builder.setup_r_disabled();
    let ring: IoUring = builder.build(8).unwrap();
    let mut only = vec![Restriction::sqe_flags_allowed(u8::MAX)];
    only.extend(requests.iter().copied().map(Restriction::sqe_op));
    only.extend(operations.iter().copied().map(Restriction::register_op));
    ring.submitter().register_restrictions(&mut only).unwrap();
    ring.submitter().register_enable_rings().unwrap();
    ring
}

/// The look is refused, and the read is as good as before.
fn a_ring_that_may_read_and_not_look() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    let calls = [PROBE, REGISTER_BUFFERS, UNREGISTER_BUFFERS, SYNC_CANCEL];
    let mut ring = restricted(&[opcode::ReadMulti::CODE], &calls);
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    have_it_look(&mut ring, &mut source);
    let (_other, epoll) = OwnEpoll::of_announcements(Signal::CHLD);
    let mut values = Vec::new();
    queue(0..1000);
    assert!(epoll.is_ready(), "they are announced");
    while values.len() < 1000 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert!(values.into_iter().eq(0..1000));
    assert!(!source.needs_arming(), "it would be refused again");
    assert!(epoll.is_ready(), "they are announced again");
}

/// The read has ended and was pushed anew, and the look is found in the ring.
fn a_look_is_not_taken_for_a_read_that_was_cancelled() {
    need_many_shots();
    let signals = open(rt()).unwrap();
    for is_stopped in [true, false] {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(4);
        let mut ring: IoUring = builder.build(2).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        let mut values = Vec::new();
        queue(0..128);
        while values.len() < 128 {
            turn(&mut ring, &mut source, &mut values);
        }
        assert!(source.needs_arming());
        // It ends, since there is no room to say more.
        queue(128..133);
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        loop {
            complete(&mut ring, &mut source, MINE);
            take(&mut source, &mut values);
            if values.len() == 133 {
                break;
            }
            ring.submit_and_wait(1).unwrap();
        }
        if !source.needs_arming() && !kernel_is_from((6, 12)) {
            skip("the request has read all at once, and goes on");
        }
        assert!(source.needs_arming());
        source.push(&mut ring.submission(), MINE).unwrap();
        if is_stopped {
            source.stop().unwrap();
            complete(&mut ring, &mut source, MINE);
            ring.submit().unwrap();
            queue(0..3);
            complete(&mut ring, &mut source, MINE);
            take(&mut source, &mut values);
            complete(&mut ring, &mut source, MINE);
            queue(3..6);
            let mut batch = Batch::<8>::new();
            let rest = signals.try_recv_batch(&mut batch).unwrap();
            values.extend(rest.iter().map(|info| info.value().unwrap()));
            assert!(values[133..].iter().copied().eq(0..6));
        } else {
            drop(source);
            ring.submit().unwrap();
            queue(0..3);
            let mut batch = Batch::<8>::new();
            let rest = signals.try_recv_batch(&mut batch).unwrap();
            let rest = rest.iter().map(|info| info.value().unwrap());
            assert!(rest.eq(0..3));
        }
    }
}

/// It is served or refused, and not waited for until nothing waits there.
fn a_ring_in_which_something_waits() {
    let signals = common::open(rt()).unwrap();
    let Ok(mut ring) = IoUring::new(8) else { skip("there is no io_uring") };
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let fd = types::Fd(ours.as_raw_fd());
    let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).build();
    submit(&mut ring, poll);
    ring.submit().unwrap();
    match ReadSource::new(&signals, &ring, GROUP) {
        Ok(mut source) => {
            queue(0..1);
            let mut values = Vec::new();
            turn(&mut ring, &mut source, &mut values);
            assert_eq!(values, [0]);
        }
        Err(error) => {
            assert!(!kernel_is_from((6, 0)), "{error}");
            let errno = libc::EINVAL;
            assert_eq!(error, Error::Os { op: Op::UringRegister, errno });
        }
    }
}

fn a_ring_with_restrictions() {
    let signals = open(rt()).unwrap();
    let mut ring = restricted(&[opcode::Nop::CODE], &[]);
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    let refused = Error::Os { op: Op::UringRegister, errno: libc::EACCES };
    assert_eq!(error, refused);
    assert!(error.to_string().contains("restrictions"), "{error}");
    let error = fail(&mut ring, &mut Source::new(&signals));
    let refused = Error::Os { op: Op::UringPoll, errno: libc::EACCES };
    assert_eq!(error, refused);
    assert!(error.to_string().contains("restrictions"), "{error}");
}

/// The program in the README, as it stands there.
#[expect(clippy::single_match_else, reason = "there is more in a real loop")]
mod readme {
    include!("readme_loop.rs");

    pub(super) fn run() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(include_str!("readme_loop.rs")));
        main().unwrap();
    }
}

fn the_loop_of_the_readme() {
    need_a_ring_that_tells();
    let _guard = signalfd::block(Signal::HUP | Signal::TERM).unwrap();
    kill(pid(), Signal::HUP);
    let looping = tid();
    let sender = thread::spawn(move || {
        wait_until_asleep(looping);
        kill(pid(), Signal::TERM);
    });
    readme::run();
    sender.join().unwrap();
}

/// No completion tells of it.
fn the_loop_of_the_readme_takes_what_was_left() {
    let _guard = signalfd::block(Signal::HUP | Signal::TERM).unwrap();
    let receiver = options().receiver(Signal::TERM).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&receiver, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    kill(pid(), Signal::TERM);
    forbid(libc::SYS_rt_sigqueueinfo, libc::EPERM);
    forbid(libc::SYS_pidfd_send_signal, libc::EPERM);
    drop(source);
    drop(receiver);
    readme::run();
}

/// Ctrl-Z and `fg`, a debugger that attaches, a machine that sleeps: the kernel ends
/// the wait with `EINTR`, though no handler ran (signal(7)).
fn the_loop_of_the_readme_goes_on_when_it_was_stopped() {
    need_a_ring_that_tells();
    let child = Child::fork(|| {
        readme::run();
        0
    });
    let stat = format!("/proc/{}/stat", child.pid);
    let is = |state| {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with(state)
    };
    for _ in 0..3 {
        wait_until("it is asleep", || is('S') || is('Z'));
        kill(child.pid, Signal::STOP);
        wait_until("it is stopped", || is('T') || is('Z'));
        kill(child.pid, Signal::CONT);
    }
    wait_until("it is asleep", || is('S') || is('Z'));
    kill(child.pid, Signal::TERM);
    child.wait_for_success();
}

fn the_thread_that_armed_it_ends() {
    let signals = open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(receiver);
    thread::scope(|scope| {
        scope.spawn(|| {
            arm(&mut ring, &mut source, MINE);
            ring.submit().unwrap();
        });
    });
    queue(0..3);
    let mut values = Vec::new();
    while values.len() < 3 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert_eq!(values, [0, 1, 2]);
}

fn signals_that_are_for_others_do_not_end_it() {
    fn disturb(
        ring: &mut IoUring,
        source: &mut impl AnySource,
        next: impl Fn(u64) -> u64,
    ) {
        let other = open(Signal::USR1).unwrap();
        let (mut values, mut user_data) = (Vec::new(), MINE);
        for round in 0.. {
            if source.needs_arming() {
                user_data = next(user_data);
            }
            arm(ring, source, user_data);
            if round < crate::rings::ROUNDS_OF_PATIENCE {
                ring.submit().unwrap();
                kill(pid(), Signal::USR1);
                assert!(other.try_recv().unwrap().is_some());
            } else {
                if round == crate::rings::ROUNDS_OF_PATIENCE {
                    assert!(values.is_empty());
                    queue(0..1);
                }
                source.submit_and_wait(ring).unwrap();
            }
            complete(ring, source, user_data);
            take(source, &mut values);
            if !values.is_empty() {
                break;
            }
        }
        assert_eq!(values, [0]);
    }
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    disturb(&mut ring, &mut Source::new(&signals), |it| it);
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    disturb(&mut ring, &mut source, |it| it);
    drop(source);
    // Those of other callers are never the same.
    let mut source = ReadSource::new(&signals, &ring, GROUP + 1).unwrap();
    disturb(&mut ring, &mut source, |it| it + 1);
}

fn a_cancelled_source_rests_until_it_is_armed() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&signals);
    assert!(source.cancel(0).is_none(), "nothing is in the ring");
    assert!(!source.needs_arming());
    source.push(&mut ring.submission(), MINE).unwrap();
    ring.submit().unwrap();
    let is_refused = || i32::from(source.cancel(0).is_some());
    // The request is the parent's.
    Child::fork(is_refused).wait_for_success();
    let entry = source.cancel(0).unwrap();
    submit(&mut ring, entry);
    complete(&mut ring, &mut source, MINE);
    assert!(!source.needs_arming());
    source.push(&mut ring.submission(), MINE).unwrap();
    queue(0..1);
    let mut values = Vec::new();
    turn(&mut ring, &mut source, &mut values);
    assert_eq!(values, [0]);

    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE + 1).unwrap();
    ring.submit().unwrap();
    source.stop().unwrap();
    assert!(!source.needs_arming());
    complete(&mut ring, &mut source, MINE + 1);
    assert!(!source.needs_arming());
    queue(1..2);
    source.push(&mut ring.submission(), MINE + 1).unwrap();
    ring.submit_and_wait(1).unwrap();
    complete(&mut ring, &mut source, MINE + 1);
    take(&mut source, &mut values);
    assert_eq!(values, [0, 1]);
}

fn the_ring_goes_first() {
    let signals = open(rt()).unwrap();
    for round in 0..100 {
        let mut ring = IoUring::new(8).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        queue(round * 3..round * 3 + 1);
        drop(ring);
        queue(round * 3 + 1..round * 3 + 2);
        drop(source);
        queue(round * 3 + 2..round * 3 + 3);
        let mut values: Vec<_> = (0..3)
            .map(|_| signals.try_recv().unwrap().unwrap().value().unwrap())
            .collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(round * 3..round * 3 + 3));
    }
}

fn a_forked_child_has_the_ring_too() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    let child = Child::fork(|| {
        // SAFETY: has no preconditions.
        #[expect(unsafe_code, reason = "waits until it is killed")]
        unsafe {
            libc::pause()
        }
    });
    queue(0..2);
    drop(source);
    drop(ring);
    // The child still has the ring, and the ring still has the signalfd.
    queue(2..100);
    let mut values = Vec::new();
    while let Some(info) = signals.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    values.sort_unstable();
    assert!(values.into_iter().eq(0..100));
    kill(child.pid, Signal::KILL);
    assert_eq!(child.wait(), End::Killed(libc::SIGKILL));
}

fn a_child_that_drops_a_source_leaves_the_parents_alone() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    let mut values = Vec::new();
    queue(0..1);
    turn(&mut ring, &mut source, &mut values);
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    Child::fork(|| {
        let forked = Error::Forked;
        let mut batch = Batch::<1>::new();
        assert_eq!(source.take(&mut batch).unwrap_err(), forked);
        assert_eq!(source.stop().unwrap_err(), forked);
        assert_eq!(source.arm(MINE).unwrap_err(), forked);
        let error = ReadSource::new(&signals, &ring, GROUP + 1).unwrap_err();
        assert_eq!(error, forked);
        #[expect(unsafe_code, reason = "drops what it has by reference")]
        // SAFETY: the child ends without looking at it again.
        drop(unsafe { std::ptr::read(&raw const source) });
        0
    })
    .wait_for_success();
    queue(1..3);
    while values.len() < 3 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert_eq!(values, [0, 1, 2]);
}

/// Its request is submitted when the receiver has gone, and another file could have its
/// number.
fn a_forgotten_request_reads_no_other_file() {
    need_rings_that_read();
    let mut ring = IoUring::new(8).unwrap();
    {
        let signals = open(rt()).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        mem::forget(source);
    }
    let mut files: Vec<_> =
        (0..20).map(|_| UnixStream::pair().unwrap()).collect();
    for (ours, theirs) in &mut files {
        theirs.set_nonblocking(true).unwrap();
        ours.write_all(&[1; 128]).unwrap();
    }
    ring.submit().unwrap();
    for (_, theirs) in &mut files {
        theirs.read_exact(&mut [0; 128]).unwrap();
    }
}

fn a_forgotten_source_does_no_harm() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    mem::forget(source);
    // The ring reads them into memory that nobody looks at, and that is there.
    queue(0..100);
    drop(ring);
    while signals.try_recv().unwrap().is_some() {}
}

/// The mappings of this process, as ranges of addresses.
fn mappings() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    maps.lines()
        .map(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (begin, end) = range.split_once('-').unwrap();
            (number(begin), number(end))
        })
        .collect()
}

/// Where something of this length begins that was mapped and is not any more, from whichever
/// mapping it was a part of.
fn first_gap(
    before: &[(usize, usize)],
    after: &[(usize, usize)],
    length: usize,
) -> Option<usize> {
    let gap_in = |&(mut at, end): &(usize, usize)| {
        for &(begin, next) in after {
            if (begin..next).contains(&at) {
                at = next;
            }
        }
        (at + length <= end).then_some(at)
    };
    before.iter().find_map(gap_in)
}

/// The length of a source's mapping.
const LENGTH: usize = 64 * 1024 + 64 * 64 * 128;

fn nothing_is_written_where_the_buffers_were() {
    let signals = open(rt()).unwrap();
    in_every_ring!(|ring| {
        for _ in 0..20 {
            let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
            arm(&mut ring, &mut source, MINE);
            ring.submit().unwrap();
            // The kernel's thread takes its time.
            wait_until("it is submitted", || ring.submission().is_empty());
            nothing_is_written_where_it_was(source, &signals, || {
                let _submitted = ring.submit();
            });
            while ring.completion().next().is_some() {}
        }
    });
    // Of the receiver's own, which somebody else has, too.
    let own = options().backend(Backend::Uring).kind(Kind::Completion);
    for is_shown in [false, true] {
        for _ in 0..20 {
            let receiver = own.receiver(rt()).unwrap();
            let _ring = another_descriptor_of_the_ring();
            if is_shown {
                let _descriptor = receiver.as_fd();
            }
            nothing_is_written_where_it_was(receiver, &signals, || ());
        }
    }
}

/// Drops what has buffers, and lets signals come once something else is mapped there.
#[expect(unsafe_code, reason = "maps something where the buffers were")]
fn nothing_is_written_where_it_was<T>(
    it: T,
    signals: &Receiver,
    work: impl FnOnce(),
) {
    let before = mappings();
    drop(it);
    let begin = first_gap(&before, &mappings(), LENGTH);
    let begin = begin.expect("the buffers are unmapped");
    let wanted = std::ptr::without_provenance_mut(begin);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let flags = flags | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: maps memory where there is none.
    let other = unsafe { libc::mmap(wanted, LENGTH, protection, flags, -1, 0) };
    assert_eq!(other, wanted, "{}", io::Error::last_os_error());
    queue(0..10);
    work();
    // SAFETY: the mapping of that length that was just made.
    let bytes =
        unsafe { std::slice::from_raw_parts(other.cast::<u64>(), LENGTH / 8) };
    assert!(bytes.iter().all(|&word| word == 0));
    // SAFETY: nothing looks at it any more.
    assert_eq!(unsafe { libc::munmap(other, LENGTH) }, 0);
    for value in 0..10 {
        let info = signals.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(value));
    }
}

/// The calls that matter when something is dropped that a thread has made, each once
/// for those of its kind that follow one another.
fn calls_of_a_drop<T>(make: impl FnOnce() -> T + Send) -> Vec<&'static str> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let is_dropping = &AtomicBool::new(false);
    let (tell, told) = std::sync::mpsc::channel();
    let mut calls = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            let both = [libc::SYS_io_uring_register, libc::SYS_munmap];
            let held = HeldCalls::of_this_thread(&both);
            let can = held.is_ok();
            tell.send(held).unwrap();
            if can {
                let one = make();
                is_dropping.store(true, Ordering::SeqCst);
                drop(one);
            }
        });
        let Ok(held) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        while held.before_the_next(|call| {
            if is_dropping.load(Ordering::SeqCst) {
                calls.extend(name_of(call));
            }
        }) {}
    });
    calls.dedup();
    calls
}

/// What a call does with a request or with buffers.
fn name_of(call: &libc::seccomp_data) -> Option<&'static str> {
    // include/uapi/linux/io_uring.h
    const UNREGISTER_PBUF_RING: u64 = 23;
    const SYNC_CANCEL: u64 = 24;
    let unmaps = i64::from(call.nr) == libc::SYS_munmap;
    match call.args[1] {
        length if unmaps => (length == LENGTH as u64).then_some("unmapped"),
        SYNC_CANCEL => Some("cancelled"),
        UNREGISTER_PBUF_RING => Some("forgotten"),
        _ => Some("something else"),
    }
}

fn what_is_unmapped_was_cancelled_and_forgotten_before() {
    let signals = open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let order = ["cancelled", "forgotten", "unmapped"];
    for builder in builders() {
        let calls = calls_of_a_drop(|| {
            let mut ring: IoUring = builder.build(8).unwrap();
            let mut source = ReadSource::new(receiver, &ring, GROUP).unwrap();
            arm(&mut ring, &mut source, MINE);
            ring.submit().unwrap();
            wait_until("it is taken", || ring.submission().is_empty());
            (source, ring)
        });
        assert_eq!(calls, order, "a source");
    }
    let calls = calls_of_a_drop(|| {
        signalfd::Options::new()
            .backend(signalfd::Backend::Uring)
            .kind(signalfd::Kind::Completion)
            .receiver(rt())
            .unwrap()
    });
    assert_eq!(calls, order, "a ring of the receiver's own");
}

fn what_is_removed_is_pending_again() {
    let signals = open(rt() | Signal::USR1).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    queue(0..1);
    kill(pid(), Signal::USR1);
    ring.submit_and_wait(1).unwrap();
    complete(&mut ring, &mut source, MINE);
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::USR1).unwrap();
    let mut values = Vec::new();
    take(&mut source, &mut values);
    assert_eq!(values, [0]);
    let other = open(Signal::USR1).unwrap();
    assert_eq!(other.try_recv().unwrap().unwrap().signal(), Signal::USR1);
}

/// A ring of the receiver's own has read it, and the scope ends.
fn a_removed_signal_that_was_read_ends_the_process() {
    let signals = signalfd::Options::new()
        .backend(signalfd::Backend::Uring)
        .kind(signalfd::Kind::Completion)
        .open(Signal::TERM | Signal::HUP)
        .unwrap();
    kill(pid(), Signal::HUP);
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
    to_die_here();
    signals.remove(Signal::TERM).unwrap();
}

/// What it would find in the queues is the parent's.
fn a_child_that_a_handler_forks_while_a_loop_waits_is_told() {
    common::have_a_handler_fork(0);
    let signals = open(Signal::USR1).unwrap();
    in_every_ring!(|ring| {
        let mut source = Source::new(&signals);
        let waited = common::fork_in_a_sleep(
            || {
                let mut taken = 0;
                // A thread of the kernel's may tell of what was taken already.
                while taken == 0 {
                    arm(&mut ring, &mut source, MINE);
                    source.submit_and_wait(&mut ring)?;
                    complete(&mut ring, &mut source, MINE);
                    taken = source.take(&mut Batch::<8>::new())?.len();
                }
                Ok(taken)
            },
            |waited| *waited == Err(Error::Forked),
        );
        assert_eq!(waited, [Ok(1); 2]);
        if let Some(entry) = source.cancel(0) {
            submit(&mut ring, entry);
        }
    });
}

/// Sends unblocked signals that have a handler, and returns how often that has run.
#[expect(unsafe_code, reason = "installs a handler")]
fn seen_by_a_handler(count: i32) -> i32 {
    use std::sync::atomic::{AtomicI32, Ordering};
    static SEEN: AtomicI32 = AtomicI32::new(0);
    extern "C" fn handler(_signal: libc::c_int) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = handler;
    // SAFETY: the handler does nothing that a handler may not do.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    SEEN.store(0, Ordering::Relaxed);
    set_mask(signalfd::SignalSet::empty());
    for _ in 0..count {
        kill(pid(), Signal::USR1);
    }
    set_mask(Signal::USR1.into());
    SEEN.load(Ordering::Relaxed)
}

fn unblocked_signals_stay_with_their_handler_when_polling() {
    let signals = open(Signal::USR1).unwrap();
    in_every_ring!(|ring| {
        let mut source = Source::new(&signals);
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        assert_eq!(seen_by_a_handler(200), 200);
        if let Some(entry) = source.cancel(0) {
            submit(&mut ring, entry);
        }
    });
}

/// A ring that defers looks later than the kernel looks for a handler, and who is
/// first with a thread of the kernel's nobody can tell.
fn unblocked_signals_are_taken_from_their_handler_when_reading() {
    let signals = open(Signal::USR1).unwrap();
    for builder in builders() {
        let mut ring: IoUring = builder.build(8).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        wait_until("it is taken", || ring.submission().is_empty());
        let seen = seen_by_a_handler(1);
        source.stop().unwrap();
        let taken = source.take(&mut Batch::<4>::new()).unwrap().len();
        assert_eq!(seen + i32::try_from(taken).unwrap(), 1);
        if !ring.params().is_setup_sqpoll() {
            let defers = ring.params().is_setup_single_issuer();
            assert_eq!(seen, i32::from(defers));
        }
    }
}

/// Who submits is this thread, or the kernel's, which has no signals of its own.
fn a_signal_for_a_thread_is_read_by_who_submits() {
    let signals = open(rt()).unwrap();
    for builder in builders() {
        let mut ring: IoUring = builder.build(8).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        wait_until("it is taken", || ring.submission().is_empty());
        sigqueue_to_thread(tid(), rt(), 0);
        queue(1..2);
        let is_ours = !ring.params().is_setup_sqpoll();
        let mut values = Vec::new();
        while values.len() < if is_ours { 2 } else { 1 } {
            turn(&mut ring, &mut source, &mut values);
        }
        source.stop().unwrap();
        take(&mut source, &mut values);
        if !is_ours {
            assert_eq!(values, [1]);
            let info = signals.try_recv().unwrap().unwrap();
            values.insert(0, info.value().unwrap());
        }
        assert_eq!(values, [0, 1]);
    }
}

fn a_signal_for_a_thread_is_taken_by_that_one_when_polling() {
    let signals = open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(receiver);
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    sigqueue_to_thread(tid(), rt(), 0);
    ring.submit_and_wait(1).unwrap();
    complete(&mut ring, &mut source, MINE);
    let mut values = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| take(&mut source, &mut values));
    });
    assert!(values.is_empty());
    let info = receiver.try_recv().unwrap().unwrap();
    assert_eq!(info.value(), Some(0));
}

fn a_sandbox_that_forbids_registering() {
    for (errno, word) in [(libc::EPERM, "seccomp"), (libc::ENOSYS, "sandbox")] {
        // A sandbox stays, so each has a process of its own.
        Child::fork(|| {
            go_on_without_registering(errno, word);
            0
        })
        .wait_for_success();
    }
}

fn go_on_without_registering(errno: i32, word: &str) {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    arm(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    forbid(libc::SYS_io_uring_register, errno);
    let refused = Error::Os { op: Op::UringRegister, errno };
    let error = ReadSource::new(&signals, &ring, GROUP + 1).unwrap_err();
    assert_eq!(error, refused);
    assert!(error.to_string().contains(word), "{error}");
    assert_eq!(source.stop(), Err(refused));
    queue(0..2);
    let mut values = Vec::new();
    while values.len() < 2 {
        turn(&mut ring, &mut source, &mut values);
    }
    assert_eq!(values, [0, 1]);
    // It cannot be cancelled, so its memory stays, and is looked at.
    queue(2..4);
    drop(source);
    queue(4..200);
    for value in 2..200 {
        let info = signals.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(value));
    }
}

fn nothing_is_allocated_by_sources() {
    fn thousand(ring: &mut IoUring, source: &mut impl AnySource) {
        let mut batch = Batch::<64>::new();
        for value in 0..1000 {
            sigqueue(pid(), rt(), value).unwrap();
            let mut taken = 0;
            while taken == 0 {
                arm(ring, source, MINE);
                source.submit_and_wait(ring).unwrap();
                complete(ring, source, MINE);
                taken = source.take(&mut batch).unwrap().len();
            }
            assert_eq!(taken, 1);
            assert!(source.take(&mut batch).unwrap().is_empty());
        }
    }
    let signals = moderated(Duration::from_micros(20));
    without_allocating(|| {
        let mut ring = IoUring::new(8).unwrap();
        thousand(&mut ring, &mut Source::new(&signals));
        let mut ring = IoUring::new(8).unwrap();
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        thousand(&mut ring, &mut source);
        source.stop().unwrap();
    });
}

/// Making, stopping and dropping a source cancels nothing but its own request.
fn requests_of_the_caller_are_left_alone() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let long = io_uring::types::Timespec::new().sec(1000);
    for user_data in [0, u64::MAX, MINE] {
        let entry = opcode::Timeout::new(&raw const long).build();
        submit(&mut ring, entry.user_data(user_data));
    }
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.stop().unwrap();
    drop(source);
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE + 1).unwrap();
    ring.submit().unwrap();
    drop(source);
    let ended: Vec<_> =
        ring.completion().map(|entry| entry.user_data()).collect();
    assert!(ended.iter().all(|&user_data| user_data == MINE + 1), "{ended:?}");
}

/// Sends a number while a thread sleeps, which is woken by it.
fn wake_who_sleeps(receiver: &Receiver, value: i32) {
    thread::scope(|scope| {
        let (send, there) = std::sync::mpsc::channel();
        let waiting = scope.spawn(move || {
            send.send(tid()).unwrap();
            receiver.wait_timeout(DEADLINE).unwrap()
        });
        wait_until_asleep(there.recv().unwrap());
        queue(value..value + 1);
        let info = waiting.join().unwrap().expect("it is woken");
        assert_eq!(info.value(), Some(value));
    });
}

/// The request comes after its source is gone. What it was to read is gone too.
fn dropped_before_it_is_submitted() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    drop(source);
    let error = ReadSource::new(&signals, &ring, GROUP).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "it is named");
    queue(0..200);
    ring.submit().unwrap();
    for value in 0..200 {
        let info = signals.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(value));
    }
    let results: Vec<_> = ring.completion().map(|end| end.result()).collect();
    assert_eq!(results, [-libc::EBADF]);
    wake_who_sleeps(&signals, 200);
}

fn dropped_before_the_kernels_thread_has_come_round() {
    let signals = open(rt()).unwrap();
    for round in 0..50 {
        let mut builder = IoUring::builder();
        builder.setup_sqpoll(1);
        let mut ring: IoUring = builder.build(8).unwrap();
        if round % 2 == 0 {
            // It has to be woken first.
            wait_until("it sleeps", || ring.submission().need_wakeup());
        }
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        source.push(&mut ring.submission(), MINE).unwrap();
        ring.submit().unwrap();
        drop(source);
        queue(0..10);
        for value in 0..10 {
            let info = signals.wait_timeout(DEADLINE).unwrap();
            assert_eq!(info.expect("it is there").value(), Some(value));
        }
        wait_until("it is taken", || ring.submission().is_empty());
        wake_who_sleeps(&signals, 10);
        assert_eq!(signals.try_recv().unwrap(), None);
    }
}

/// A request names its file by the number of a descriptor, which another file may
/// have by the time it comes.
fn a_late_request_reads_no_other_file() {
    let signals = open(rt()).unwrap();
    let number = signals.as_raw_fd();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    drop(source);
    drop(signals);
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    assert_eq!(ours.as_raw_fd(), number);
    // What looks like a signal.
    let mut record = [0; mem::size_of::<SigInfo>()];
    record[..4].copy_from_slice(&rt().as_raw().to_ne_bytes());
    theirs.write_all(&record).unwrap();
    ring.submit().unwrap();
    theirs.write_all(&record).unwrap();
    let _entered = ring.submit();
    ours.set_nonblocking(true).unwrap();
    for _ in 0..2 {
        let mut read = [0; mem::size_of::<SigInfo>()];
        ours.read_exact(&mut read).unwrap();
        assert_eq!(read, record);
    }
    let signals = open(rt()).unwrap();
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn stopped_before_it_is_submitted() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    source.stop().unwrap();
    ring.submit().unwrap();
    queue(0..3);
    ring.submit_and_wait(1).unwrap();
    complete(&mut ring, &mut source, MINE);
    ring.submit().unwrap();
    complete(&mut ring, &mut source, MINE);
    let mut values = Vec::new();
    take(&mut source, &mut values);
    // It has read some, and now it reads no more.
    queue(3..10);
    while let Some(info) = signals.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    assert!(values.into_iter().eq(0..10));
    assert!(!source.needs_arming());
    source.push(&mut ring.submission(), MINE).unwrap();
}

/// It has ended for want of room, and nobody has told the source.
fn stopped_when_it_has_ended() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_cqsize(2);
    let mut ring: IoUring = builder.build(2).unwrap();
    for user_data in 0..2 {
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        source.push(&mut ring.submission(), user_data).unwrap();
        ring.submit().unwrap();
        queue(0..10);
        source.stop().unwrap();
        let mut values = Vec::new();
        take(&mut source, &mut values);
        assert!(!values.is_empty());
        while let Some(info) = signals.try_recv().unwrap() {
            values.push(info.value().unwrap());
        }
        assert!(values.into_iter().eq(0..10), "in order");
        while !ring.completion().is_empty() || ring.submission().cq_overflow() {
            ring.completion().for_each(drop);
            ring.submit().unwrap();
        }
    }
}

/// What is in the submission queue at a fork can be submitted by the child, and then
/// its addresses are the child's.
#[expect(unsafe_code, reason = "maps something where the buffers were")]
fn submitted_and_dropped_by_a_forked_child() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    Child::fork(|| {
        ring.submit().unwrap();
        let before = mappings();
        // SAFETY: the child ends without looking at it again.
        drop(unsafe { std::ptr::read(&raw const source) });
        let gap = first_gap(&before, &mappings(), 1);
        assert_eq!(gap, None, "they stay mapped");
        queue(0..3);
        0
    })
    .wait_for_success();
}

fn submitted_by_a_forked_child_when_it_is_dropped() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let child = Child::fork(|| {
        theirs.read_exact(&mut [0]).unwrap();
        queue(0..1);
        ring.submit().unwrap();
        queue(1..3);
        let own = open(rt()).unwrap();
        for value in 0..3 {
            let info = own.try_recv().unwrap().unwrap();
            assert_eq!(info.value(), Some(value));
        }
        0
    });
    drop(source);
    ours.write_all(&[0]).unwrap();
    child.wait_for_success();
    queue(0..3);
    let values = (0..3).map(|_| signals.try_recv().unwrap().unwrap().value());
    assert!(values.eq([0, 1, 2].map(Some)));
}

fn a_failed_source_can_still_be_read() {
    let signals = open(rt()).unwrap();
    let mut builder = IoUring::builder();
    builder.setup_iopoll();
    let mut ring: IoUring = builder.build(8).unwrap();
    let mut source = Source::new(&signals);
    fail(&mut ring, &mut source);
    for value in 0..3 {
        queue(value..value + 1);
        let mut values = Vec::new();
        take(&mut source, &mut values);
        assert_eq!(values, [value]);
    }
}

fn a_source_is_as_it_was_when_the_queue_was_full() {
    let signals = open(rt()).unwrap();
    let mut ring = IoUring::new(2).unwrap();
    let mut source = Source::new(&signals);
    assert!(source.cancel(0).is_none());
    for _ in 0..2 {
        let nop = opcode::Nop::new().build();
        #[expect(unsafe_code, reason = "what the caller of a ring does")]
        // SAFETY: it names no memory.
        unsafe { ring.submission().push(&nop) }.unwrap();
    }
    let pushed = source.push(&mut ring.submission(), MINE);
    assert_eq!(pushed, Err(Error::QueueFull));
    assert!(!source.needs_arming(), "it was cancelled");
}

/// A last completion with the `user_data` of a source, of something else in another ring.
fn invented_end() -> cqueue::Entry {
    let mut other = IoUring::new(8).unwrap();
    let long = io_uring::types::Timespec::new().sec(1000);
    let entry = opcode::Timeout::new(&raw const long).build();
    submit(&mut other, entry.user_data(MINE));
    submit(&mut other, opcode::AsyncCancel::new(MINE).build().user_data(1));
    let is_end = |end: &cqueue::Entry| end.user_data() == MINE;
    other.completion().find(is_end).unwrap()
}

/// Files that have what looks like a signal to read, under the numbers that are free.
fn files_with_a_record() -> Vec<(UnixStream, UnixStream)> {
    let mut record = [0; mem::size_of::<SigInfo>()];
    record[..4].copy_from_slice(&rt().as_raw().to_ne_bytes());
    let mut files: Vec<_> =
        (0..4).map(|_| UnixStream::pair().unwrap()).collect();
    for (one, two) in &mut files {
        one.write_all(&record).unwrap();
        two.write_all(&record).unwrap();
    }
    files
}

/// The completion is of something else in another ring. The request is still to be
/// submitted, and what it was to read is another file by then.
fn an_end_that_is_invented_is_not_believed() {
    need_rings_that_read();
    let _guard = signalfd::block(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    {
        let receiver = Receiver::new(rt()).unwrap();
        let mut source = ReadSource::new(&receiver, &ring, GROUP).unwrap();
        source.push(&mut ring.submission(), MINE).unwrap();
        source.complete(invented_end()).unwrap();
    }
    let _files = files_with_a_record();
    let receiver = Receiver::new(rt()).unwrap();
    let error = ReadSource::new(&receiver, &ring, GROUP).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "it is named");
    let source = ReadSource::new(&receiver, &ring, GROUP + 1);
    let mut source = source.unwrap();
    source.push(&mut ring.submission(), MINE).unwrap();
    ring.submit().unwrap();
    for completion in ring.completion() {
        let _foreign = source.complete(completion);
    }
    let mut batch = Batch::<4>::new();
    assert_eq!(source.take(&mut batch).unwrap(), []);
}

/// The request ends once, and the next one goes on.
fn an_end_that_the_kernel_denies_is_refused() {
    let signals = open(rt()).unwrap();
    let end = invented_end();
    in_every_ring!(|ring| {
        let mut source = ReadSource::new(&signals, &ring, GROUP).unwrap();
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        // The kernel's thread takes its time.
        wait_until("it is submitted", || ring.submission().is_empty());
        let told = source.complete(end.clone());
        assert_eq!(told, Err(Error::ForeignCompletion));
        assert!(!source.needs_arming());
        ring.submit_and_wait(1).unwrap();
        complete(&mut ring, &mut source, MINE);
        assert!(source.needs_arming(), "it was cancelled");
        arm(&mut ring, &mut source, MINE);
        ring.submit().unwrap();
        wait_until("it is submitted", || ring.submission().is_empty());
        let mut ended = 0;
        for completion in ring.completion() {
            ended += 1;
            let _told = source.complete(completion);
        }
        assert_eq!(ended, 0, "nothing has come");
        queue(0..3);
        let mut values = Vec::new();
        while values.len() < 3 {
            turn(&mut ring, &mut source, &mut values);
        }
        assert_eq!(values, [0, 1, 2]);
        drop(source);
        let again = ReadSource::new(&signals, &ring, GROUP);
        drop(again.expect("nothing has stayed"));
    });
}

/// The request is in the ring, or still to be submitted, when its end is invented. So may
/// the next one be, when its source is dropped, and the source after that has all its
/// numbers.
fn what_follows_an_invented_end_reads_no_other_file() {
    need_rings_that_read();
    let _guard = signalfd::block(rt()).unwrap();
    for (first, second) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] {
        let mut ring = IoUring::new(8).unwrap();
        {
            let receiver = Receiver::new(rt()).unwrap();
            let mut source = ReadSource::new(&receiver, &ring, GROUP).unwrap();
            source.push(&mut ring.submission(), MINE).unwrap();
            submit_some(&ring, first);
            let _told = source.complete(invented_end());
            if source.needs_arming() {
                source.push(&mut ring.submission(), MINE).unwrap();
                submit_some(&ring, second);
            }
        }
        let _files = files_with_a_record();
        let receiver = Receiver::new(rt()).unwrap();
        if let Ok(mut source) = ReadSource::new(&receiver, &ring, GROUP) {
            source.push(&mut ring.submission(), MINE).unwrap();
            ring.submit().unwrap();
            for completion in ring.completion() {
                let _foreign = source.complete(completion);
            }
            let mut batch = Batch::<4>::new();
            let infos = source.take(&mut batch).unwrap();
            assert_eq!(infos, [], "{first} and {second} submitted");
        }
    }
}

/// A sandbox has come that forbids to let the ring forget the buffers, while a request is
/// still to be submitted.
fn a_late_request_that_cannot_be_refused_reads_no_other_file() {
    need_rings_that_read();
    let _guard = signalfd::block(rt()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    {
        let receiver = Receiver::new(rt()).unwrap();
        let mut source = ReadSource::new(&receiver, &ring, GROUP).unwrap();
        source.push(&mut ring.submission(), MINE).unwrap();
        forbid(libc::SYS_io_uring_register, libc::EPERM);
    }
    let _files = files_with_a_record();
    ring.submit().unwrap();
    let receiver = Receiver::new(rt()).unwrap();
    assert_eq!(receiver.try_recv().unwrap(), None);
    // It reads what it was to read.
    queue(0..3);
    for value in 0..3 {
        let info = receiver.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(value));
    }
}

/// Submits the first of what is in the queue.
fn submit_some(ring: &IoUring, count: u32) {
    #[expect(unsafe_code, reason = "submits a part of what was pushed")]
    // SAFETY: there is no argument, and a source has pushed what is there.
    let done = unsafe { ring.submitter().enter::<()>(count, 0, 0, None) };
    assert_eq!(done.unwrap(), count as usize);
}
