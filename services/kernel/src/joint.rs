//! What two sides decide is two halves, one at each side. The joint state is a pure function of both, so it is the same
//! wherever the same halves have arrived, in whatever order, however often.
//!
//! Never decides for either side; a half that is missing stays missing.

/// Both halves as far as they are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint<T> {
    /// Neither side has said anything.
    Neither,
    /// We have; the other side has not, as far as we know.
    Ours(T),
    /// The other side has; we have not.
    Theirs(T),
    /// Both have.
    Both {
        /// Our half.
        ours: T,
        /// The other side's.
        theirs: T,
    },
}

impl<T> Joint<T> {
    /// Puts the halves side by side.
    #[must_use]
    pub fn of(ours: Option<T>, theirs: Option<T>) -> Self {
        match (ours, theirs) {
            (None, None) => Self::Neither,
            (Some(ours), None) => Self::Ours(ours),
            (None, Some(theirs)) => Self::Theirs(theirs),
            (Some(ours), Some(theirs)) => Self::Both { ours, theirs },
        }
    }

    /// Whether any half that is here is so.
    pub fn any(&self, is: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Neither => false,
            Self::Ours(half) | Self::Theirs(half) => is(half),
            Self::Both { ours, theirs } => is(ours) || is(theirs),
        }
    }
}
