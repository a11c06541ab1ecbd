//! Progress on a terminal, for whatever takes longer than a second.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::timeout;

use super::terminal;

/// Nobody needs to be told about what is done sooner.
const NOTICEABLE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Waits for `work`, and shows what is being waited for once it has taken a second.
pub async fn spin<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(NOTICEABLE, work.as_mut()).await {
        return done;
    }
    let spinner = spinner(what);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, target());
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    spinner.set_style(style.expect("the template is well-formed"));
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}

/// A bar over a known number of steps.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    begun: Instant,
    visible: AtomicBool,
}

impl Bar {
    /// A bar that shows itself once the work has taken a second.
    pub fn new(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}");
        bar.set_style(style.expect("the template is well-formed"));
        bar.set_message(what.to_owned());
        Self {
            bar,
            begun: Instant::now(),
            visible: AtomicBool::new(false),
        }
    }

    /// So many of so many steps are done.
    pub fn show(&self, done: u64, all: u64) {
        if self.begun.elapsed() >= NOTICEABLE && !self.visible.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(target());
        }
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    /// Everything is done: the bar goes.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn target() -> ProgressDrawTarget {
    if terminal::is_watched() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
