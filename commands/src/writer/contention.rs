//! Taking turns with the writers of the same boundary in other processes. Whoever has just committed is a step ahead: the others
//! must first read what it wrote, and would lose every race. So it leaves them a gap, as long as they are there.

use std::time::Duration;

use tokio::time::Instant;

/// For how long after another process's record its next one is expected.
const EXPECTED: Duration = Duration::from_secs(2);

/// How many times as long as a commit the gap is: time to read the boundary's tail and its newest records, and to append.
const COMMITS_PER_GAP: u32 = 4;

/// The shortest gap.
const SHORTEST: Duration = Duration::from_millis(2);

/// The longest gap.
const LONGEST: Duration = Duration::from_millis(50);

/// What a writer knows of those it shares its boundary with.
#[derive(Debug, Default)]
pub(super) struct Contention {
    /// When another process's record was last met.
    met: Option<Instant>,
}

impl Contention {
    /// Another process's record stood where ours should.
    pub(super) fn meet(&mut self) {
        self.met = Some(Instant::now());
    }

    /// How long to leave the boundary to others after a commit that took so long; none if nobody is there.
    pub(super) fn gap(&self, commit: Duration) -> Option<Duration> {
        let expected = self.met.is_some_and(|met| met.elapsed() < EXPECTED);
        expected.then(|| commit.saturating_mul(COMMITS_PER_GAP).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_left_only_while_others_write() {
        let mut contention = Contention::default();
        let commit = Duration::from_millis(3);
        assert_eq!(contention.gap(commit), None);
        contention.meet();
        assert_eq!(contention.gap(commit), Some(Duration::from_millis(12)));
        tokio::time::advance(EXPECTED).await;
        assert_eq!(contention.gap(commit), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_log_does_not_make_the_gap_long() {
        let mut contention = Contention::default();
        contention.meet();
        assert_eq!(contention.gap(Duration::from_secs(5)), Some(LONGEST));
        assert_eq!(contention.gap(Duration::ZERO), Some(SHORTEST));
    }
}
