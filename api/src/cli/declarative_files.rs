//! The declarative files that `apply` is given, as one: several files, directories and standard input, merged as decK merges them.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

use super::environment;

/// Stands for standard input.
const STANDARD_INPUT: &str = "-";
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What is sent to the server.
#[derive(Debug)]
pub struct Declarative {
    /// YAML or JSON.
    pub media_type: &'static str,
    /// The file.
    pub text: String,
}

/// Reads the files, with environment variables put in. One file is sent as it is, so that the server's words about it fit.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Declarative> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    let mut texts = Vec::with_capacity(files.len());
    for file in &files {
        let text = text_of(file).with_context(|| file.display().to_string())?;
        texts.push((file, text));
    }
    match texts.as_slice() {
        [] => bail!("no {} file is in the directories named", EXTENSIONS.join(", .")),
        [(_, only)] => Ok(Declarative {
            media_type: "application/yaml",
            text: only.clone(),
        }),
        several => {
            let mut merged = Map::new();
            for (file, text) in several {
                let document = serde_saphyr::from_str(text).map_err(anyhow::Error::from);
                document
                    .and_then(|document| merge(&mut merged, document))
                    .with_context(|| file.display().to_string())?;
            }
            Ok(Declarative {
                media_type: "application/json",
                text: Value::Object(merged).to_string(),
            })
        }
    }
}

/// A file itself; of a directory every declarative file at any depth, in the order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path == Path::new(STANDARD_INPUT) || !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut below = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| path.display().to_string())?;
    below.sort();
    for path in below {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() || extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let text = if path == Path::new(STANDARD_INPUT) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path)?
    };
    environment::filled(&text, |name| std::env::var(name).ok())
}

/// Lists are put one after another and mappings together; what two files say of the same thing must be the same.
fn merge(merged: &mut Map<String, Value>, document: Value) -> anyhow::Result<()> {
    let document = match document {
        Value::Object(document) => document,
        Value::Null => return Ok(()),
        _ => bail!("the file must be a mapping with _format_version and entities"),
    };
    for (key, value) in document {
        match (merged.get_mut(&key), value) {
            (None | Some(Value::Null), value) => {
                merged.insert(key, value);
            }
            (Some(_), Value::Null) => {}
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (Some(Value::Object(fields)), more @ Value::Object(_)) => {
                merge(fields, more).with_context(|| key.clone())?;
            }
            (Some(present), value) => ensure!(
                *present == value,
                "{key} is {value} here and {present} in a file before: make them the same"
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(documents: &[Value]) -> anyhow::Result<Value> {
        let mut merged = Map::new();
        for document in documents {
            merge(&mut merged, document.clone())?;
        }
        Ok(Value::Object(merged))
    }

    #[test]
    fn files_are_merged_list_by_list() {
        let first =
            json!({"_format_version": "3.0", "services": [{"name": "a"}], "_info": {"select_tags": ["x"]}});
        let second = json!({"_format_version": "3.0", "services": [{"name": "b"}], "consumers": [], "_info": {"defaults": {}}});
        let expected = json!({
            "_format_version": "3.0", "services": [{"name": "a"}, {"name": "b"}], "consumers": [],
            "_info": {"select_tags": ["x"], "defaults": {}},
        });
        assert_eq!(merged(&[first, second]).unwrap(), expected);
    }

    #[test]
    fn files_that_contradict_each_other_are_refused() {
        let refused = merged(&[
            json!({"_format_version": "1.1"}),
            json!({"_format_version": "3.0"}),
        ]);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .starts_with("_format_version is \"3.0\" here")
        );
        assert!(merged(&[json!(["services"])]).is_err());
    }

    #[test]
    fn a_directory_stands_for_the_files_below_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("more")).unwrap();
        let put = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        put(
            "b.yaml",
            "_format_version: '3.0'\nservices: [{name: b, host: b.test}]\n",
        );
        put(
            "more/a.json",
            r#"{"_format_version": "3.0", "services": [{"name": "a", "host": "a.test"}]}"#,
        );
        put("notes.txt", "not one of them");
        let read = read(&[home.path().to_owned()]).unwrap();
        let document: Value = serde_json::from_str(&read.text).unwrap();
        let names: Vec<_> = document["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|service| &service["name"])
            .collect();
        assert_eq!(names, ["b", "a"]);
    }
}
