use super::*;

fn record() -> Record {
    let mut timings = Timings::default();
    // Out of order on purpose.
    timings.mark(Mark::Exec, 3171);
    timings.mark(Mark::Init, 3602);
    timings.mark(Mark::Config, 61);
    timings.mark(Mark::Config, 99);
    Record {
        reference: "5d".repeat(32),
        feed: None,
        name: "example host".into(),
        version: "2026.11.3".into(),
        sequence: 17,
        timings,
        fetched: Fetched {
            bytes: 15_204_352,
            chunks: 3742,
            peers: 24,
        },
    }
}

#[test]
fn the_block_comes_first_and_is_what_the_document_says() {
    let line = record().command_line("console=ttyS0 quiet", "panic=5");
    let expected = format!(
        "deboot.reference={} deboot.name=example%20host deboot.version=2026.11.3 deboot.sequence=17 deboot.timings=init:3602,config:61,exec:3171 deboot.fetched=bytes:15204352,chunks:3742,peers:24 console=ttyS0 quiet panic=5",
        "5d".repeat(32)
    );
    assert_eq!(line, Ok(expected));
}

#[test]
fn a_feed_stands_behind_the_reference_and_in_its_variable() {
    let mut record = record();
    let name = format!("{}/{}", "1f".repeat(20), "9c".repeat(32));
    let mut feed = FeedRecord {
        feed: name.clone(),
        index: 39,
        timestamp: Some(1_795_350_896),
        definite: true,
        requests: 12,
    };
    record.feed = Some(feed.clone());
    let line = record.command_line("", "").unwrap();
    let expected = format!(
        "deboot.reference={} deboot.feed={name} deboot.feed_update=index:39,time:1795350896,definite:1,requests:12 deboot.name=example",
        "5d".repeat(32)
    );
    assert!(line.starts_with(&expected), "{line}");
    feed.timestamp = None;
    feed.definite = false;
    assert_eq!(
        feed.variable(),
        format!("{name} index:39,definite:0,requests:12")
    );
}

#[test]
fn empty_parts_leave_no_double_spaces_and_newlines_become_spaces() {
    let line = record().command_line(" a\nb ", "").unwrap();
    assert!(line.ends_with("peers:24 a b"), "{line}");
    assert!(!line.contains("  "));
}

#[test]
fn a_long_line_loses_details_first_and_is_refused_last() {
    let long = |n: usize| "x".repeat(n);
    let line = record().command_line(&long(1700), "").unwrap();
    assert!(line.contains("deboot.timings="));
    let line = record().command_line(&long(1850), "").unwrap();
    assert!(!line.contains("deboot.timings=") && line.contains("deboot.name="));
    let line = record().command_line(&long(1940), "").unwrap();
    assert!(!line.contains("deboot.name=") && line.contains("deboot.sequence=17"));
    let shortest = record().command_line("", "").unwrap().len();
    assert!(shortest < COMMAND_LINE_BYTES_MAX);
    assert!(matches!(
        record().command_line(&long(2000), ""),
        Err(CommandLineTooLong { bytes }) if bytes > 2047
    ));
}

#[test]
fn a_counter_that_did_not_start_at_power_on_gives_no_init() {
    let mut timings = Timings::default();
    timings.mark(Mark::Init, INIT_MS_MAX + 1);
    assert_eq!(timings.ms_of(Mark::Init), None);
}

#[test]
fn a_new_attempt_keeps_what_came_before_the_network() {
    let mut timings = record().timings;
    timings.restart();
    assert_eq!(timings.ms_of(Mark::Config), Some(61));
    assert_eq!(timings.ms_of(Mark::Exec), None);
}

#[test]
fn timings_variable_is_json() {
    assert_eq!(
        record().timings_json(7),
        "{\"schema\":\"deboot/timings/1\",\"unit\":\"ms\",\"timings\":{\"init\":3602,\"config\":61,\"exec\":3171},\"fetched\":{\"bytes\":15204352,\"chunks\":3742,\"peers\":24},\"memory_peak_bytes\":7}"
    );
}

#[test]
fn percent_encoding_keeps_only_safe_bytes() {
    assert_eq!(percent_encode("a b=\"ü\",%"), "a%20b%3D%22%C3%BC%22%2C%25");
    assert_eq!(percent_encode("v1.2:3+4@5/6-7_8~"), "v1.2:3+4@5/6-7_8~");
}

#[test]
fn utf16_ends_with_a_zero() {
    assert_eq!(utf16_nul("aé"), [0x61, 0, 0xe9, 0, 0, 0]);
}
