//! Checks the licences of everything that is shipped against the list in `deny.toml`, with nothing but cargo.
use crate::paths::{read, workspace};
use crate::process::{capture, cargo};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const METADATA_LIMIT: Duration = Duration::from_secs(300);

/// Fails with every shipped crate whose licence is not allowed. Crates used by tests only are not looked at.
///
/// # Errors
/// The crates, or that cargo or `deny.toml` cannot be understood.
pub(crate) fn check() -> Result<()> {
    let deny = String::from_utf8(read(&workspace().join("deny.toml"))?)?;
    let allowed = allowed(&deny).context("deny.toml: no `allow = [` list under [licenses]")?;
    let text = capture(
        cargo().args(["metadata", "--format-version", "1", "--locked"]),
        METADATA_LIMIT,
    )?;
    let metadata: Value = serde_json::from_str(&text)?;
    let shipped = shipped(&metadata).context("cargo metadata: no dependency graph")?;
    let mut bad = Vec::new();
    for package in metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata: no packages")?
    {
        let field = |name: &str| {
            package
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if shipped.contains(field("id")) && !is_allowed(field("license"), &allowed) {
            bad.push(format!(
                "{} {}: {:?}",
                field("name"),
                field("version"),
                field("license")
            ));
        }
    }
    if !bad.is_empty() {
        bail!(
            "licences that deny.toml does not allow:\n  {}",
            bad.join("\n  ")
        );
    }
    println!("{} shipped crates have allowed licences", shipped.len());
    Ok(())
}

/// Reads the strings of the first `allow` list after `[licenses]`.
fn allowed(deny: &str) -> Option<BTreeSet<String>> {
    let section = deny.split_once("[licenses]")?.1;
    let list = section.split_once("allow = [")?.1.split_once(']')?.0;
    let names = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let names = names.flat_map(|line| {
        line.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    Some(names.collect())
}

/// Returns the ids of the workspace's crates and of all they need outside of tests.
fn shipped(metadata: &Value) -> Option<BTreeSet<String>> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata.get("resolve")?.get("nodes")?.as_array()? {
        let needed = node.get("deps")?.as_array()?.iter().filter(|dependency| {
            let kinds = dependency.get("dep_kinds").and_then(Value::as_array);
            kinds.is_some_and(|kinds| {
                kinds
                    .iter()
                    .any(|kind| kind.get("kind").and_then(Value::as_str) != Some("dev"))
            })
        });
        let needed = needed
            .filter_map(|dependency| dependency.get("pkg")?.as_str())
            .collect();
        edges.insert(node.get("id")?.as_str()?, needed);
    }
    let mut open: Vec<&str> = metadata
        .get("workspace_members")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id.to_owned()) {
            open.extend(edges.get(id)?);
        }
    }
    Some(seen)
}

/// Evaluates a licence expression: `AND` binds stronger than `OR`; an old-style slash is an `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // SPEC SPDX 2.3 Annex D
    let text = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = text.split_whitespace().peekable();
    let result = any(&mut words, allowed);
    result == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words, allowed)?;
    }
    Some(result)
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed)?;
    }
    Some(result)
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let result = any(words, allowed)?;
        return (words.next()? == ")").then_some(result);
    }
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next()?;
        return Some(allowed.contains(&format!("{word} WITH {exception}")));
    }
    Some(allowed.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BTreeSet<String> {
        ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn expressions_are_allowed_when_one_way_through_them_is() {
        let good = [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "MIT AND ISC",
            "(MIT OR GPL-3.0) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
        ];
        for text in good {
            assert!(is_allowed(text, &list()), "{text}");
        }
        let bad = [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT WITH Other",
            "(MIT",
            "MIT MIT",
            "OR MIT",
            "MIT OR",
            "AGPL-3.0-only",
        ];
        for text in bad {
            assert!(!is_allowed(text, &list()), "{text}");
        }
        assert!(
            is_allowed("GPL-3.0 OR MIT AND ISC", &list()),
            "AND binds stronger"
        );
        assert!(
            !is_allowed("GPL-3.0 AND MIT OR LGPL-2.1", &list()),
            "AND binds stronger"
        );
    }

    #[test]
    fn the_list_is_the_one_in_deny_toml() {
        let text =
            "[graph]\nallow = [\"X\"]\n[licenses]\nallow = [\n  \"MIT\", # why\n  \"0BSD\",\n]\n";
        assert_eq!(
            allowed(text).unwrap().into_iter().collect::<Vec<_>>(),
            ["0BSD", "MIT"]
        );
        let real = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
        let real = allowed(&real).unwrap();
        assert!(real.contains("MIT") && !real.iter().any(|name| name.contains("GPL")));
    }

    #[test]
    fn what_only_tests_need_is_not_shipped() {
        let metadata = serde_json::json!({"workspace_members": ["a"], "resolve": {"nodes": [
            {"id": "a", "deps": [
                {"pkg": "b", "dep_kinds": [{"kind": null}]},
                {"pkg": "c", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "d", "dep_kinds": [{"kind": "dev"}, {"kind": "build"}]}]},
            {"id": "b", "deps": []}, {"id": "c", "deps": []}, {"id": "d", "deps": []}]}});
        assert_eq!(
            shipped(&metadata).unwrap().into_iter().collect::<Vec<_>>(),
            ["a", "b", "d"]
        );
    }
}
