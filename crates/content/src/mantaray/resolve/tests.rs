use super::*;
use crate::mantaray::Builder;
use crate::testing::{Answers, Store, drive};
use std::collections::BTreeMap;
use std::string::ToString;

fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// A directory whose files contain their own paths.
fn site(paths: &[&str], documents: &[(&str, &str)]) -> (Store, Reference) {
    let mut store = Store::default();
    let mut builder = Builder::new();
    for path in paths {
        let reference = store.add_file(path.as_bytes());
        builder.add(path, reference, BTreeMap::new());
    }
    if !documents.is_empty() {
        builder.add_metadata("/", metadata(documents));
    }
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    (store, root)
}

fn resolve(store: &Store, root: Reference, path: &str) -> Result<Resolution, MantarayError> {
    let mut resolve = Resolve::new(root, path);
    let seen = drive(&mut resolve, store, Answers::FirstAskedFirst, |_| {})?;
    let mut asked = seen.asked.clone();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), seen.asked.len(), "a chunk was asked for twice");
    Ok(resolve.into_resolution().unwrap())
}

/// Writes an answer as one word: the path served, with `index:` or `error:` for a document, `redirect:`, or `404`.
fn answer(store: &Store, root: Reference, path: &str) -> String {
    match resolve(store, root, path) {
        Ok(Resolution::Entry {
            entry,
            path,
            document,
        }) => {
            if let Some(reference) = entry.reference {
                let content = store.get(reference.address).unwrap();
                assert_eq!(content.payload(), path.as_bytes());
            }
            match document {
                Document::Path => path,
                Document::Index => std::format!("index:{path}"),
                Document::Error => std::format!("error:{path}"),
            }
        }
        Ok(Resolution::Redirect { path }) => std::format!("redirect:{path}"),
        Ok(Resolution::Feed(_)) => "feed".to_string(),
        Err(error) => {
            assert_eq!(error, MantarayError::NotFound, "{path}");
            "404".to_string()
        }
    }
}

#[test]
fn paths_are_answered_as_bee_answers_them_with_index_and_error_document() {
    let (store, root) = site(
        &[
            "index.html",
            "404.html",
            "a/index.html",
            "a/b/x",
            "only/y",
            "image",
        ],
        &[
            ("website-index-document", "index.html"),
            ("website-error-document", "404.html"),
        ],
    );
    for (path, expected) in [
        ("", "index:index.html"),
        ("index.html", "index.html"),
        ("404.html", "404.html"),
        ("a", "redirect:a/"),
        ("a/", "index:a/index.html"),
        ("a///", "index:a/index.html"),
        ("a/index.html", "a/index.html"),
        ("a/b", "redirect:a/b/"),
        ("a/b/", "error:404.html"),
        ("a/b/x", "a/b/x"),
        ("a/b/x/", "error:404.html"),
        ("only", "redirect:only/"),
        ("only/", "error:404.html"),
        ("onl", "error:404.html"),
        ("image/", "error:404.html"),
        ("imag", "error:404.html"),
        ("missing", "error:404.html"),
        ("missing/", "error:404.html"),
        ("missing/index.html", "error:404.html"),
        // The metadata's own path is an entry without a file.
        ("/", "/"),
        ("//", "/"),
    ] {
        assert_eq!(answer(&store, root, path), expected, "{path:?}");
    }
}

#[test]
fn without_documents_only_files_and_directories_are_answered() {
    let (store, root) = site(&["index.html", "a/index.html", "a/b"], &[]);
    for (path, expected) in [
        ("", "404"),
        ("/", "404"),
        ("index.html", "index.html"),
        ("a", "redirect:a/"),
        ("a/", "404"),
        ("a/b", "a/b"),
        ("a/b/", "404"),
        ("x", "404"),
    ] {
        assert_eq!(answer(&store, root, path), expected, "{path:?}");
    }
}

#[test]
fn documents_that_do_not_exist_are_no_answer() {
    let (store, root) = site(
        &["a/b"],
        &[
            ("website-index-document", "index.html"),
            ("website-error-document", "404.html"),
        ],
    );
    for path in ["", "x", "a/", "404.html", "index.html", "x/index.html"] {
        assert_eq!(answer(&store, root, path), "404", "{path:?}");
    }
}

#[test]
fn an_index_document_is_looked_for_where_go_joins_paths() {
    for (directory, name, joined) in [
        ("", "", ""),
        ("", "index.html", "index.html"),
        ("a", "index.html", "a/index.html"),
        ("a/", "index.html", "a/index.html"),
        ("a//b/", "i", "a/b/i"),
        ("a", "../i", "i"),
        ("a", "../../i", "../i"),
        ("a/b", "./../c/./i", "a/c/i"),
        ("/a", "i", "/a/i"),
        ("/", "i", "/i"),
        ("/", "../i", "/i"),
        ("", "/i", "/i"),
        ("a", "..", "."),
        ("a", "/", "a"),
        ("", "../..", "../.."),
    ] {
        assert_eq!(join(directory, name), joined, "{directory:?} {name:?}");
    }
}

#[test]
fn a_single_file_upload_is_found_by_its_name_and_by_nothing() {
    let mut store = Store::default();
    let file = store.add_file(b"vmlinuz");
    let mut builder = Builder::new();
    builder.add_metadata("/", metadata(&[("website-index-document", "vmlinuz")]));
    builder.add("vmlinuz", file, BTreeMap::new());
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert_eq!(answer(&store, root, ""), "index:vmlinuz");
    assert_eq!(answer(&store, root, "vmlinuz"), "vmlinuz");
    assert_eq!(answer(&store, root, "x"), "404");
}

#[test]
fn a_feed_manifest_is_recognised_and_taken_as_a_directory_below_a_feed() {
    let feed = "1f7d61b4691cc363486616adf9dce367632b9226/topic"
        .parse()
        .unwrap();
    let kind = crate::feed::FeedType::Sequence;
    let manifest = FeedManifest { feed, kind };
    let mut store = Store::default();
    let root = manifest.build(&mut |chunk| store.put(chunk)).unwrap();
    for path in ["", "a", "a/b/"] {
        assert_eq!(resolve(&store, root, path), Ok(Resolution::Feed(manifest)));
    }
    let mut below = Resolve::new(root, "a").below_feed();
    let result = drive(&mut below, &store, Answers::FirstAskedFirst, |_| {});
    assert_eq!(result.unwrap_err(), MantarayError::NotFound);

    let broken = metadata(&[("swarm-feed-owner", "12"), ("swarm-feed-topic", "34")]);
    let mut builder = Builder::new();
    builder.add_metadata("/", broken);
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert!(matches!(
        resolve(&store, root, ""),
        Err(MantarayError::FeedManifest { address, .. }) if address == root.address
    ));
}

#[test]
fn a_missing_node_is_an_error_and_not_a_missing_path() {
    let (mut store, root) = site(&["a/b", "a/c", "d"], &[("website-error-document", "d")]);
    let mut lookup = Lookup::new(root, "a/b");
    let seen = drive(&mut lookup, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
    store.chunks.remove(&seen.asked[1]);
    assert!(matches!(
        resolve(&store, root, "a/b"),
        Err(MantarayError::Node { .. })
    ));
    assert_eq!(answer(&store, root, "d"), "d");
}
