//! House rules that no lint knows: lengths, forbidden words, dead files, what every crate must say.
use crate::paths::workspace;
use crate::process::{capture, command};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Longest source file, lines.
const FILE_LINES_MAX: usize = 600;
/// Longest file of nothing but tests, lines: tables of cases are long and simple.
const TEST_FILE_LINES_MAX: usize = 1200;
/// Longest function outside of tests, lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Programs with no promise about what other directories are called.
const SYSTEM_DIRECTORIES: [&str; 12] = [
    "bin", "boot", "dev", "etc", "home", "lib", "mnt", "opt", "proc", "root", "tmp", "usr",
];

/// One text file of the clone.
struct Source {
    path: String,
    text: String,
}

/// Fails with every breach found.
///
/// # Errors
/// The breaches, or that the files cannot be listed.
pub(crate) fn check() -> Result<()> {
    let sources = sources()?;
    let forbidden = forbidden_words();
    let mut breaches = Vec::new();
    for source in &sources {
        words(source, &forbidden, &mut breaches);
        if source.path.ends_with(".rs") {
            lengths(source, &mut breaches);
        }
        // A package that is a workspace of its own inherits nothing.
        let apart = source.text.lines().any(|line| line == "[workspace]");
        if source.path.ends_with("Cargo.toml") && !apart {
            package(source, &sources, &mut breaches);
        }
    }
    dead_files(&sources, &mut breaches);
    if !breaches.is_empty() {
        bail!(
            "{} breaches of the house rules:\n  {}",
            breaches.len(),
            breaches.join("\n  ")
        );
    }
    println!("{} files are tidy", sources.len());
    Ok(())
}

/// Copies what git tracks or would add to another directory.
///
/// # Errors
/// A file cannot be copied.
pub(crate) fn copy_sources(to: &Path) -> Result<()> {
    for path in list()?.lines() {
        let (from, to) = (workspace().join(path), to.join(path));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap_or(&to))?;
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Lists the files that git tracks or would add.
fn list() -> Result<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    capture(
        command("git").args(arguments).current_dir(workspace()),
        Duration::from_secs(60),
    )
}

/// Reads the text files among them.
fn sources() -> Result<Vec<Source>> {
    let list = list()?;
    let read = |path: &str| {
        // Binary files, and ones deleted but not committed, are left out.
        let text = std::fs::read_to_string(workspace().join(path)).ok()?;
        Some(Source {
            path: path.to_owned(),
            text,
        })
    };
    Ok(list.lines().filter_map(read).collect())
}

/// Words that no file may have: unfinished work, and directories of one developer's machine.
fn forbidden_words() -> Vec<String> {
    // Put together, so that this file does not break its own rule.
    let mut words = vec![
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["X", "XX"].concat(),
        ["todo", "!("].concat(),
    ];
    words.push(["/ho", "me/"].concat());
    words.push(["/ro", "ot/"].concat());
    let top = workspace()
        .components()
        .nth(1)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    if let Some(top) = top.filter(|top| !SYSTEM_DIRECTORIES.contains(&top.as_str())) {
        words.push(format!("/{top}/"));
    }
    words
}

fn words(source: &Source, forbidden: &[String], breaches: &mut Vec<String>) {
    if source.path.starts_with("LICENSE") || source.path == "Cargo.lock" {
        return;
    }
    for (n, line) in source.text.lines().enumerate() {
        for word in forbidden {
            // The same name below another directory is a path in the clone, at the front it is one on a machine.
            let found = line.match_indices(word.as_str()).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().next_back());
                !before.is_some_and(|c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '}')
                })
            });
            if found {
                breaches.push(format!("{}:{}: {word:?}", source.path, n + 1));
            }
        }
    }
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/benches/")
}

fn lengths(source: &Source, breaches: &mut Vec<String>) {
    let lines: Vec<&str> = source.text.lines().collect();
    let max = if is_test_file(&source.path) {
        TEST_FILE_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    if lines.len() > max {
        breaches.push(format!(
            "{}: {} lines, at most {max}",
            source.path,
            lines.len()
        ));
    }
    if is_test_file(&source.path) {
        return;
    }
    // Code is formatted, so a function ends at the first brace as deep as its own first line.
    let mut start: Option<(usize, usize, &str)> = None;
    for (n, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if text == "#[cfg(test)]"
            && lines
                .get(n + 1)
                .is_some_and(|next| next.trim_end().ends_with("mod tests {"))
        {
            return;
        }
        match start {
            None if is_function_head(text) && !text.trim_end().ends_with([';', '}']) => {
                start = Some((n, depth, text))
            }
            Some((first, at, head)) if depth == at && (text == "}" || text.ends_with(';')) => {
                let length = n - first + 1;
                if length > FUNCTION_LINES_MAX && text == "}" {
                    let place = format!("{}:{}", source.path, first + 1);
                    breaches.push(format!(
                        "{place}: {length} lines, at most {FUNCTION_LINES_MAX}: {head}"
                    ));
                }
                start = None;
            }
            _ => {}
        }
    }
}

fn is_function_head(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| {
        word.starts_with("pub")
            || matches!(*word, "const" | "async" | "unsafe" | "extern")
            || word.ends_with("\"C\"")
    });
    words.next() == Some("fn")
}

/// Rules for a package: its licence and lints come from the workspace, and its root forbids what it must.
fn package(manifest: &Source, sources: &[Source], breaches: &mut Vec<String>) {
    let path = &manifest.path;
    let directory = path.trim_end_matches("Cargo.toml");
    for (needed, table) in [
        ("license.workspace = true", "[package]"),
        ("workspace = true", "[lints]"),
    ] {
        let section = manifest
            .text
            .split_once(table)
            .map_or("", |(_, rest)| rest.split("\n[").next().unwrap_or(rest));
        if !section.lines().any(|line| line.trim() == needed) {
            breaches.push(format!("{path}: no `{needed}` in {table}"));
        }
    }
    let roots = ["src/lib.rs", "src/main.rs"].map(|name| format!("{directory}{name}"));
    for root in sources.iter().filter(|source| roots.contains(&source.path)) {
        let mut must = |attribute: &str| {
            if !root.text.lines().any(|line| line.starts_with(attribute)) {
                breaches.push(format!("{}: no `{attribute}`", root.path));
            }
        };
        if !directory.starts_with("firmware/") {
            must("#![forbid(unsafe_code)]");
        }
        if directory.starts_with("crates/") && directory != "crates/sim/" {
            must("#![no_std]");
        }
        if !root.text.starts_with("//!") {
            breaches.push(format!("{}: does not say what it is", root.path));
        }
    }
}

/// Finds source files that no module declares: the compiler never sees them.
fn dead_files(sources: &[Source], breaches: &mut Vec<String>) {
    let module = |line: &str| -> Option<String> {
        let line = line.trim().strip_suffix(';')?;
        let name = line.rsplit_once("mod ")?.1;
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
            .then(|| name.to_owned())
    };
    let package = |path: &str| {
        path.split_once("/src/")
            .map(|(package, _)| package.to_owned())
    };
    let declared: BTreeSet<_> = sources
        .iter()
        .filter_map(|source| Some((package(&source.path)?, source)))
        .flat_map(|(package, source)| {
            source
                .text
                .lines()
                .filter_map(module)
                .map(move |name| (package.clone(), name))
        })
        .collect();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        let Some(package) = package(&source.path) else {
            continue;
        };
        let path = Path::new(&source.path);
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = match stem.as_str() {
            "lib" | "main" => continue,
            "mod" => path
                .parent()
                .and_then(Path::file_name)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            _ => stem,
        };
        if !source.path.contains("/src/bin/") && !declared.contains(&(package, name)) {
            breaches.push(format!("{}: no module declares it", source.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn long_functions_are_found_outside_of_tests_only() {
        let body = "        let x = 1;\n".repeat(FUNCTION_LINES_MAX);
        let long = format!("impl X {{\n    pub(crate) const fn long() {{\n{body}    }}\n}}\n");
        let mut breaches = Vec::new();
        lengths(&source("a/src/b.rs", &long), &mut breaches);
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(breaches[0].starts_with("a/src/b.rs:2: "), "{breaches:?}");
        breaches.clear();
        lengths(
            &source(
                "a/src/b.rs",
                &format!("fn short() {{\n}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n"),
            ),
            &mut breaches,
        );
        lengths(&source("a/tests/b.rs", &long), &mut breaches);
        lengths(
            &source(
                "a/src/b.rs",
                &format!("trait X {{\n    fn short();\n{body}}}\n"),
            ),
            &mut breaches,
        );
        assert_eq!(breaches, Vec::<String>::new());
    }

    #[test]
    fn long_files_and_dead_files_and_words_are_found() {
        let mut breaches = Vec::new();
        lengths(
            &source("a/src/b.rs", &"//\n".repeat(FILE_LINES_MAX + 1)),
            &mut breaches,
        );
        assert_eq!(breaches.len(), 1);
        breaches.clear();
        let files = [
            source("a/src/lib.rs", "pub mod b;\n"),
            source("a/src/b.rs", ""),
            source("a/src/c.rs", ""),
        ];
        dead_files(&files, &mut breaches);
        assert_eq!(breaches, ["a/src/c.rs: no module declares it"]);
        breaches.clear();
        let word = ["/ro", "ot/"].concat();
        words(
            &source("a", &format!("x\ncd {word}x\nimage{word}init\n")),
            &forbidden_words(),
            &mut breaches,
        );
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(breaches[0].starts_with("a:2"));
    }

    #[test]
    fn a_package_without_licence_lints_or_forbidden_unsafe_is_found() {
        let mut breaches = Vec::new();
        let good = source(
            "host/x/Cargo.toml",
            "[package]\nlicense.workspace = true\n\n[lints]\nworkspace = true\n",
        );
        let root = source("host/x/src/lib.rs", "//! X.\n#![forbid(unsafe_code)]\n");
        package(&good, &[root], &mut breaches);
        assert_eq!(breaches, Vec::<String>::new());
        let bad = source(
            "crates/x/Cargo.toml",
            "[package]\n\n[dependencies]\nworkspace = true\n",
        );
        package(
            &bad,
            &[source("crates/x/src/lib.rs", "fn x() {}\n")],
            &mut breaches,
        );
        assert_eq!(breaches.len(), 5, "{breaches:?}");
    }
}
