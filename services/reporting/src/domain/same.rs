//! Records that are one and the same: what stands for which. Links are followed to their end; where they lead round in a circle, the first
//! name of it stands for all.

use std::collections::{BTreeMap, BTreeSet};

/// What one record says: this is a duplicate, or has moved; that stands for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The record that is not counted for itself.
    pub root: String,
    /// The record that stands for both.
    pub survivor: String,
}

/// Every link that matters to some records.
#[derive(Clone, Debug, Default)]
pub struct Same(BTreeMap<String, BTreeSet<String>>);

impl FromIterator<Link> for Same {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        let mut same = Self::default();
        for Link { root, survivor } in links {
            same.0.entry(root).or_default().insert(survivor);
        }
        same
    }
}

impl Same {
    /// The record that stands for one; itself, if nothing is said of it.
    #[must_use]
    pub fn end<'a>(&'a self, root: &'a str) -> &'a str {
        let mut seen = vec![root];
        let mut now = root;
        while let Some(next) = self.0.get(now).and_then(BTreeSet::first) {
            if let Some(circle) = seen.iter().position(|name| name == next) {
                return seen[circle..].iter().min().copied().unwrap_or(root);
            }
            seen.push(next);
            now = next;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_their_end() {
        let link = |(root, survivor): (&str, &str)| Link { root: root.into(), survivor: survivor.into() };
        let same: Same =
            [("a", "b"), ("b", "c"), ("x", "y"), ("y", "z"), ("z", "y"), ("s", "s")].map(link).into_iter().collect();
        assert_eq!(["a", "b", "c", "d", "s"].map(|root| same.end(root)), ["c", "c", "c", "d", "s"]);
        assert_eq!(["x", "y", "z"].map(|root| same.end(root)), ["y", "y", "y"]);
    }
}
