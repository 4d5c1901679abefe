//! Which guard of a thread is the innermost.
//!
//! A guard that is dropped puts back the mask that it found. What an outer scope
//! changes meanwhile, the inner one would undo, so only the innermost may change
//! the mask. Counting the guards of a thread tells which that is. Without the
//! standard library there are no thread-local variables, and every guard is
//! taken for the innermost.

#[cfg(feature = "std")]
mod imp {
    use core::cell::Cell;

    std::thread_local! {
        static OPEN: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    pub(crate) struct Depth(usize);

    impl Depth {
        pub(crate) fn enter() -> Self {
            OPEN.set(OPEN.get() + 1);
            Self(OPEN.get())
        }

        pub(crate) fn is_innermost(&self) -> bool {
            self.0 == OPEN.get()
        }
    }

    impl Drop for Depth {
        fn drop(&mut self) {
            OPEN.set(OPEN.get().saturating_sub(1));
        }
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    #[derive(Debug)]
    pub(crate) struct Depth;

    impl Depth {
        pub(crate) const fn enter() -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "as with the standard library")]
        pub(crate) const fn is_innermost(&self) -> bool {
            true
        }
    }
}

pub(super) use imp::Depth;
