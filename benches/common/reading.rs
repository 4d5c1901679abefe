//! What a process of its own has measured, as one line of text.

use std::fmt;

/// Numbers with names: `ns=205.1 cpu=190.7`.
#[derive(Clone, Default, Debug)]
pub(crate) struct Reading(Vec<(String, f64)>);

impl Reading {
    pub(crate) fn new(name: &str, value: f64) -> Self {
        Self::default().and(name, value)
    }

    pub(crate) fn and(mut self, name: &str, value: f64) -> Self {
        self.0.push((name.into(), value));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|&(_, value)| value)
    }

    /// Reads what `Display` writes; `None` if it is anything else.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut reading = Self::default();
        for word in line.split_whitespace() {
            let (name, value) = word.split_once('=')?;
            reading = reading.and(name, value.parse().ok()?);
        }
        Some(reading)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

/// The middle of some numbers, of which there is at least one.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        return numbers[middle];
    }
    f64::midpoint(numbers[middle - 1], numbers[middle])
}
