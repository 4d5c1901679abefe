//! What the machine asks this kernel for. While it does, others come.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::kernel::{Fate, Pending, record};
use super::{
    Birth, Completion, Deadline, ENTRIES, Error, GROUP, Handle, Kernel, Queues,
    Ring, SigInfo, SignalFd, Submission, Target,
};

impl Handle<'_> {
    /// Others come meanwhile; most often one that has something to submit.
    fn meddle(&self) {
        let mut model = self.model();
        model.count();
        if !model.is_busy || model.depth > 1 {
            return;
        }
        let what = model.input.below(8);
        drop(model);
        let Some(own) = self.0.own.borrow().upgrade() else { return };
        match what {
            1 => self.step(&own),
            2 => self.submit_late(&own),
            _ => {}
        }
    }

    /// Waits for a completion.
    fn wait(&self) -> Result<(), Errno> {
        let set = self.set();
        let mut model = self.model();
        let is_over = model.is_over;
        if !is_over {
            drop(model);
            self.meddle();
            model = self.model();
            model.look_all(set);
        }
        model.end_cancelled();
        if !model.said.is_empty() {
            return Ok(());
        }
        let is_exact = !model.lies && !model.is_old && !model.has_refused;
        if is_over {
            assert!(!is_exact, "there is nothing to wait for");
            return Err(Errno::IO);
        }
        let thread = model.current;
        let is_pending = model.has_pending(thread, set);
        assert!(
            model.lies || !is_pending,
            "it sleeps, and something is pending"
        );
        Err([Errno::INTR, Errno::TIME][usize::from(is_pending)])
    }
}

impl Queues for Handle<'_> {
    fn push(&mut self, submission: &Submission) -> Option<usize> {
        self.meddle();
        let mut model = self.model();
        let submission = match *submission {
            Submission::Nothing => Submission::Nothing,
            Submission::Cancel(number) => Submission::Cancel(number),
            Submission::Request(ref entry) => {
                assert!(entry.get_user_data() > model.newest);
                model.newest = entry.get_user_data();
                Submission::Request(entry.clone())
            }
        };
        if model.queue.len() == ENTRIES as usize {
            assert!(model.lies, "there are more places than are ever in use");
            return None;
        }
        model.queue.push_back(submission);
        Some(model.queue.len())
    }

    fn unsubmitted(&mut self) -> usize {
        self.meddle();
        self.model().queue.len()
    }

    fn submit(&mut self) -> Result<usize, Errno> {
        self.meddle();
        let set = self.set();
        let mut model = self.model();
        let all = model.queue.len();
        if all > 0 && model.is_odd(32) {
            return Err(Errno::INTR);
        }
        let count = model.accept(all)?;
        model.issue(count, set);
        Ok(count)
    }

    fn first(&mut self) -> Option<Completion> {
        self.meddle();
        self.model().said.front().copied()
    }

    fn let_go(&mut self) -> Option<Completion> {
        let mut model = self.model();
        model.count();
        model.said.pop_front()
    }

    fn for_each(&mut self, f: impl FnMut(Completion)) {
        let said = self.model().said.clone();
        said.into_iter().for_each(f);
    }

    fn has_overflown(&mut self) -> bool {
        !self.model().kept.is_empty()
    }
}

impl Ring for Handle<'_> {
    type Queues = Self;

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.signalfd.as_fd()
    }

    fn enter(
        &self,
        entries: usize,
        _deadline: Deadline,
    ) -> Result<usize, Errno> {
        let set = self.set();
        let mut model = self.model();
        let count = model.accept(entries)?;
        model.issue(count, set);
        let waits = model.waits;
        drop(model);
        if count == entries && waits {
            match self.wait() {
                Err(errno) if count == 0 => return Err(errno),
                _ => {}
            }
        }
        Ok(count)
    }

    fn cancel_all(&self) -> Result<(), Errno> {
        let mut model = self.model();
        if model.is_old {
            return Err(Errno::NOMEM);
        }
        model.cancel(|_| true);
        Ok(())
    }

    fn kernel(&self, _birth: Birth) -> impl Kernel {
        self.clone()
    }

    fn thread(&self) -> u32 {
        self.model().current
    }

    fn is_pending(&self, _signalfd: &SignalFd) -> bool {
        self.meddle();
        let set = self.set();
        let model = self.model();
        model.has_pending(model.current, set)
    }

    fn read(
        &self,
        _signalfd: &SignalFd,
        room: &mut [SigInfo],
        mut used: usize,
    ) -> Result<usize, Error> {
        self.meddle();
        let set = self.set();
        let mut model = self.model();
        let thread = model.current;
        while let Some(place) = room.get_mut(used) {
            let Some(info) = model.read(thread, set) else { break };
            *place = info;
            used += 1;
        }
        Ok(used)
    }

    fn add(&self, _signalfd: BorrowedFd<'_>) {
        let mut model = self.model();
        model.has_edge |= !model.is_added;
        model.is_added = true;
    }

    fn show_again(&self) {
        let mut model = self.model();
        let is_readable = !model.said.is_empty() || !model.kept.is_empty();
        model.has_edge |= is_readable;
    }
}

impl Kernel for Handle<'_> {
    fn cancel(&mut self, _: u8, _: u64, _: Target) -> Result<bool, Error> {
        Ok(false)
    }

    fn register_buffers(&mut self, _: usize, group: u16) -> Result<(), Errno> {
        assert_eq!(group, GROUP);
        let mut model = self.model();
        assert!(!core::mem::replace(&mut model.has_group, true));
        model.head = 0;
        Ok(())
    }

    fn forget_buffers(&mut self, group: u16) -> Result<(), Errno> {
        assert_eq!(group, GROUP);
        assert!(core::mem::take(&mut self.model().has_group));
        Ok(())
    }

    fn give_back(&mut self, info: &SigInfo) -> bool {
        let mut model = self.model();
        let number = usize::try_from(info.ptr).unwrap();
        let fate = model.fates[number];
        assert!(fate.read().is_some(), "it goes back twice");
        let signal = fate.read().unwrap();
        assert_eq!(*info, record(signal, number));
        model.fates[number] = Fate::GivenBack;
        model.pending.push(Pending { signal, to: None });
        model.has_edge |= model.is_added;
        true
    }
}
