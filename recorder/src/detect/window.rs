//! How much there was of something in a span of time that ends now.

use std::collections::VecDeque;

/// Parts of a span that are counted apart; the span is exact to one of them.
const PARTS: i64 = 10;

/// Counts of a span, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Window {
    span: i64,
    /// When a part began, and its count.
    parts: VecDeque<(i64, u64)>,
}

/// What a [`Window`] has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) count: u64,
    /// The time of the first that is counted, to a tenth of the span.
    pub(crate) first: i64,
}

impl Window {
    pub(crate) fn new(span: i64) -> Self {
        Self { span, parts: VecDeque::new() }
    }

    /// Adds `count` of now; how many there are with them.
    pub(crate) fn add(&mut self, now: i64, count: u64) -> Counted {
        let begun = self.parts.back().is_some_and(|(begun, _)| now < begun + self.span / PARTS);
        match self.parts.back_mut().filter(|_| begun) {
            Some((_, part)) => *part = part.saturating_add(count),
            None => self.parts.push_back((now, count)),
        }
        while self.parts.front().is_some_and(|(begun, _)| now - begun >= self.span) {
            self.parts.pop_front();
        }
        Counted {
            count: self.parts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)),
            first: self.parts.front().map_or(now, |(begun, _)| *begun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_span_counts_no_more() {
        let mut window = Window::new(1000);
        assert_eq!(window.add(0, 1), Counted { count: 1, first: 0 });
        assert_eq!(window.add(50, 2), Counted { count: 3, first: 0 });
        assert_eq!(window.add(999, 1), Counted { count: 4, first: 0 });
        assert_eq!(window.add(1000, 1), Counted { count: 2, first: 999 });
        assert_eq!(window.add(5000, 1), Counted { count: 1, first: 5000 });
        assert!(window.parts.len() as i64 <= PARTS + 1);
    }
}
