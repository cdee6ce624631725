//! A map that forgets what was not used for longest: whoever writes records must not fill a recorder's memory.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// At most so many entries.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    most: usize,
    uses: u64,
    entries: HashMap<K, (u64, V)>,
    /// Whether something was forgotten.
    has_forgotten: bool,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, uses: 0, entries: HashMap::new(), has_forgotten: false }
    }

    /// What is known of `key`, which counts as a use of it.
    pub(crate) fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.forget_half();
        }
        self.uses += 1;
        let entry = self.entries.entry(key).or_insert_with(|| (0, new()));
        entry.0 = self.uses;
        &mut entry.1
    }

    /// At once, so that it is seldom.
    fn forget_half(&mut self) {
        let mut uses: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = uses.len() / 2;
        if middle == 0 {
            self.entries.clear();
        } else {
            let (_, median, _) = uses.select_nth_unstable(middle);
            let median = *median;
            self.entries.retain(|_, (used, _)| *used > median);
        }
        self.has_forgotten = true;
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }

    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_is_forgotten() {
        let mut recent = Recent::new(4);
        for key in 0..4 {
            *recent.entry(key, || 0) += 1;
        }
        *recent.entry(0, || 0) += 1;
        assert!(!recent.has_forgotten());
        recent.entry(9, || 7);
        assert_eq!((recent.get(&0), recent.get(&9), recent.get(&1)), (Some(&2), Some(&7), None));
        assert!(recent.has_forgotten() && recent.len() <= 4);
        for key in 100..1000 {
            recent.entry(key, || 0);
        }
        assert!(recent.len() <= 4);
    }
}
