//! Plugins that talk to language models.

use serde_json::json;

use super::Rewriting;

/// Providers whose address every release knows, and that older ones only talk to with a credential.
const HOSTED: [&str; 4] = ["openai", "azure", "anthropic", "cohere"];

/// Before 3.8 the address of Mistral had to be given.
pub(super) fn mistral_address(rewriting: &mut Rewriting<'_, '_>) {
    let settings = settings(rewriting);
    if rewriting.text(&format!("{settings}.model.provider")) == Some("mistral") {
        let address = || json!("https://api.mistral.ai:443");
        rewriting.set_if_unset(&format!("{settings}.model.options.upstream_url"), |_| address());
    }
}

/// Before 3.8 hosted models were only reached with a credential in a header or a parameter.
pub(super) fn model_credential(rewriting: &mut Rewriting<'_, '_>) {
    let settings = settings(rewriting);
    let provider = rewriting
        .text(&format!("{settings}.model.provider"))
        .unwrap_or_default();
    let header = format!("{settings}.auth.header_name");
    let has_credential = [&header, &format!("{settings}.auth.param_name")]
        .into_iter()
        .any(|field| rewriting.value(field).is_some());
    if HOSTED.contains(&provider) && !has_credential {
        let message = format!(
            "Kong {} talks to {provider} only with a credential: set {header} and its value, or update the instance",
            rewriting.release()
        );
        rewriting.withhold(&header, message);
    }
}

/// Before 3.7 the model had to be named.
pub(super) fn model_name(rewriting: &mut Rewriting<'_, '_>) {
    let name = format!("{}.model.name", settings(rewriting));
    if rewriting.value(&name).is_none() {
        let message = format!(
            "Kong {} demands the model's name: set it, or update the instance",
            rewriting.release()
        );
        rewriting.withhold(&name, message);
    }
}

/// Where the plugin keeps them.
fn settings(rewriting: &Rewriting<'_, '_>) -> &'static str {
    match rewriting.value("config.llm") {
        Some(_) => "config.llm",
        None => "config",
    }
}
