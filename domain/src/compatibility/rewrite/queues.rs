//! Plugins that send what they log: since 3.3 their queue is described by a record, before by a few fields.

use serde_json::{Value, json};

use super::Rewriting;
use crate::compatibility::Effect;

const RETRIES: u32 = 10;

/// `retry_count`, `queue_size` and `flush_timeout`.
pub(super) fn queue_parameters(rewriting: &mut Rewriting<'_, '_>) {
    rewriting.set_if_unset("config.retry_count", |_| json!(RETRIES));
    rewriting.set_if_unset("config.queue_size", |rewriting| {
        rewriting.taken_from_queue("max_batch_size", 1)
    });
    rewriting.set_if_unset("config.flush_timeout", |rewriting| {
        rewriting.taken_from_queue("max_coalescing_delay", 2)
    });
}

/// `batch_span_count` and `batch_flush_delay`, which takes whole seconds.
pub(super) fn batch_parameters(rewriting: &mut Rewriting<'_, '_>) {
    rewriting.set_if_unset("config.batch_span_count", |rewriting| {
        rewriting.taken_from_queue("max_batch_size", 200)
    });
    rewriting.set_if_unset("config.batch_flush_delay", |rewriting| {
        let delay = rewriting.taken_from_queue("max_coalescing_delay", 3);
        whole_seconds(rewriting, delay)
    });
}

fn whole_seconds(rewriting: &mut Rewriting<'_, '_>, delay: Value) -> Value {
    match delay.as_f64() {
        Some(seconds) if seconds.fract() != 0.0 => {
            let whole = seconds.ceil() as i64;
            let message = format!(
                "Kong {} counts this in whole seconds: {delay} is sent as {whole}",
                rewriting.release()
            );
            rewriting.found("config.queue.max_coalescing_delay", Effect::Changed, message);
            json!(whole)
        }
        _ => delay,
    }
}
