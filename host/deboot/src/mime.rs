//! Content types by file name, from a fixed table, so that the same directory has the same reference on every machine.

/// What Go's standard library (and so bee's directory upload) answers on a machine without type tables of its own, plus plain text.
/// SPEC swarm-wire 9: a directory's metadata is part of its reference.
const TYPES: [(&str, &str); 18] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("xml", "text/xml; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
];

/// Returns the content type for a file name; empty when the extension says nothing, as bee does.
pub fn content_type(file_name: &str) -> &'static str {
    let Some((_, extension)) = file_name.rsplit_once('.') else {
        return "";
    };
    let extension = extension.to_ascii_lowercase();
    TYPES
        .iter()
        .find(|(known, _)| *known == extension)
        .map_or("", |(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn only_the_last_extension_counts_and_unknown_ones_say_nothing() {
        assert_eq!(content_type("index.HTML"), "text/html; charset=utf-8");
        assert_eq!(content_type("a.tar.json"), "application/json");
        for name in ["vmlinuz", "initramfs.img", "a.", "json", ""] {
            assert_eq!(content_type(name), "", "{name}");
        }
    }
}
