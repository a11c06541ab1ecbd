//! Confirmation where something is lost: the person types the name of what goes.

use anyhow::bail;

use super::terminal;

/// Asks for `name` to be typed, unless `yes` was said beforehand; refuses where nobody can answer.
pub fn by_name(consequence: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !terminal::is_interactive() {
        bail!("{consequence}. Nobody can be asked here: say --yes to confirm");
    }
    let answer = terminal::ask(&format!("{consequence}. Type {name} to confirm: "))?;
    if answer != name {
        bail!("not confirmed, nothing was changed");
    }
    Ok(())
}
