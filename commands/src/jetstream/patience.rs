//! Asking again: what may safely be asked twice is asked until it is answered, or its caller waits no longer.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first try.
const FIRST: Duration = Duration::from_millis(10);

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_millis(250);

/// Until when something is asked again, and how long it rests in between: longer after each try, up to a limit.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Lasts for so long from now on.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            pause: FIRST,
        }
    }

    /// When it ends.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Rests before another try; false, at once, if there is no time for one.
    pub(crate) async fn rest(&mut self) -> bool {
        let again = Instant::now() + self.pause;
        if again >= self.until {
            return false;
        }
        tokio::time::sleep_until(again).await;
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

/// Asks until there is an answer, an error that doesn't pass, or no time left; then the last error, or what `late` says if the first try
/// took too long.
pub(crate) async fn ask<Answer, Error, Asking>(
    limit: Duration,
    passes: impl Fn(&Error) -> bool,
    late: impl FnOnce() -> Error,
    ask: impl Fn() -> Asking,
) -> Result<Answer, Error>
where
    Asking: Future<Output = Result<Answer, Error>>,
{
    let mut patience = Patience::new(limit);
    let mut last = None;
    loop {
        match tokio::time::timeout_at(patience.until(), ask()).await {
            Ok(Err(error)) if passes(&error) => last = Some(error),
            Ok(definite) => return definite,
            Err(_) => return Err(last.unwrap_or_else(late)),
        }
        if !patience.rest().await {
            return Err(last.unwrap_or_else(late));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    /// What is heard when `answer` says what each try, counted from 1, brings.
    async fn heard(answer: impl Fn(u32) -> Result<u32, &'static str>) -> Result<u32, &'static str> {
        let tries = AtomicU32::new(0);
        ask(
            LIMIT,
            |error| *error == "away",
            || "late",
            || {
                let answer = answer(tries.fetch_add(1, Ordering::Relaxed) + 1);
                async move { answer }
            },
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_again_and_what_does_not_is_not() {
        let third = |number| if number < 3 { Err("away") } else { Ok(number) };
        assert_eq!(heard(third).await, Ok(3));
        let wrong = |number| if number < 3 { Err("wrong") } else { Ok(number) };
        assert_eq!(heard(wrong).await, Err("wrong"));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_ends_with_the_time_there_is() {
        let began = Instant::now();
        assert_eq!(heard(|_| Err("away")).await, Err("away"));
        assert!(began.elapsed() <= LIMIT);
        let never = || std::future::pending::<Result<(), &str>>();
        assert_eq!(ask(LIMIT, |_| true, || "late", never).await, Err("late"));
    }
}
