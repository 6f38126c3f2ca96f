//! The ends of ranges by score and by member.

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// The score at the end; infinite for an open end, never NaN.
    pub value: f64,
    /// Whether members with just this score are left out.
    pub exclusive: bool,
}

impl ScoreBound {
    /// A bound that takes in members of just this score.
    pub fn inclusive(value: f64) -> Self {
        Self { value, exclusive: false }
    }

    /// A bound that leaves out members of just this score.
    pub fn exclusive(value: f64) -> Self {
        Self { value, exclusive: true }
    }

    /// Whether a score lies before a range that starts here.
    pub(super) fn is_after(self, score: f64) -> bool {
        if self.exclusive { score <= self.value } else { score < self.value }
    }

    /// Whether a score lies in or before a range that ends here.
    pub(super) fn reaches(self, score: f64) -> bool {
        if self.exclusive { score < self.value } else { score <= self.value }
    }
}

/// One end of a range of members, which is meaningful where all scores are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before every member.
    Min,
    /// After every member.
    Max,
    /// At this member, which belongs to the range.
    Inclusive(&'a [u8]),
    /// At this member, which does not belong to the range.
    Exclusive(&'a [u8]),
}

impl LexBound<'_> {
    /// Whether a member lies before a range that starts here.
    pub(super) fn is_after(self, member: &[u8]) -> bool {
        match self {
            Self::Min => false,
            Self::Max => true,
            Self::Inclusive(bound) => member < bound,
            Self::Exclusive(bound) => member <= bound,
        }
    }

    /// Whether a member lies in or before a range that ends here.
    pub(super) fn reaches(self, member: &[u8]) -> bool {
        match self {
            Self::Min => false,
            Self::Max => true,
            Self::Inclusive(bound) => member <= bound,
            Self::Exclusive(bound) => member < bound,
        }
    }
}
