//! A value for each signal.

use super::Signal;

/// A value for each number from 1 to 64, so that looking one up cannot fail.
#[derive(Debug)]
pub(crate) struct PerSignal<T>([T; 64]);

impl<T> PerSignal<T> {
    pub(crate) const fn new(values: [T; 64]) -> Self {
        Self(values)
    }

    /// The value of this signal.
    pub(crate) fn of(&self, signal: Signal) -> &T {
        let Self([first, ..]) = self;
        self.0.get(usize::from(signal.bit())).unwrap_or(first)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::array;

    #[test]
    fn each_signal_has_a_value_of_its_own() {
        let table = PerSignal::new(array::from_fn(|bit| bit + 1));
        assert_eq!(table.iter().count(), 64);
        for (number, value) in (1..=64).zip(table.iter()) {
            let signal = Signal::at(number - 1);
            assert_eq!(table.of(signal), value);
            assert_eq!(usize::from(number), *value);
        }
    }
}
