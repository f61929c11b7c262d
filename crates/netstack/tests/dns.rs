//! Names over the virtual link, with honest and hostile servers.
mod support;

use netstack::dns::LookupError;
use netstack::{Config, Event};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::dns::{Question, record, txt};
use support::server::{SECOND, SERVER, Service};
use support::wire::Faults;
use support::{MAC, World};
use swarm::{DnsAnswer, DnsQuery};

const SECOND_OF_TIME: Duration = Duration::from_secs(1);
const NAME: &str = "_dnsaddr.example.org";
const OK: u16 = 0x8180;

type Questions = Rc<RefCell<Vec<(u64, Question)>>>;

/// A world whose two DNS servers do as `answer` says; and the questions they got, with the milliseconds at which.
fn world(answer: impl Fn(usize, &Question) -> Vec<Vec<u8>> + 'static) -> (World, Questions) {
    let mut config = Config::new(MAC, 1);
    config.static_address = Some((
        [10, 0, 2, 15].into(),
        24,
        Some(SERVER),
        vec![SERVER, SECOND],
    ));
    let mut w = World::with(config, Faults::default());
    let questions = Questions::default();
    let seen = questions.clone();
    w.server.hook = Some(Box::new(move |now, frame| {
        let question = Question::read(frame)?;
        let answers = answer(seen.borrow().len(), &question);
        seen.borrow_mut().push((now.as_millis(), question));
        Some(answers)
    }));
    (w, questions)
}

fn texts(list: &[&str]) -> DnsAnswer {
    DnsAnswer::Txt(list.iter().map(ToString::to_string).collect())
}

fn resolve(w: &mut World, limit: Duration) -> DnsAnswer {
    let id = w.node.resolve(DnsQuery::Txt(NAME.into()));
    assert!(
        w.run_until(limit, |w| !w.node.answers.is_empty()),
        "no answer within {limit:?}"
    );
    let (got, answer) = w.node.answers.remove(0);
    assert_eq!(got, id);
    answer
}

fn error(w: &World) -> Option<LookupError> {
    w.events.iter().find_map(|(_, e)| match e {
        Event::DnsFailed { error, .. } => Some(*error),
        _ => None,
    })
}

#[test]
fn texts_and_addresses_are_found() {
    let (mut w, questions) = world(|_, q| {
        let records = if q.message.contains(&b'_') {
            vec![txt("dnsaddr=/ip4/1.2.3.4"), txt("x")]
        } else {
            vec![record(1, &[1, 2, 3, 4]), record(1, &[5, 6, 7, 8])]
        };
        vec![q.frame(&q.reply(OK, &records))]
    });
    assert_eq!(
        resolve(&mut w, SECOND_OF_TIME),
        texts(&["dnsaddr=/ip4/1.2.3.4", "x"])
    );
    w.node.resolve(DnsQuery::Addresses("example.org".into()));
    w.run(SECOND_OF_TIME);
    let addresses = vec![[1, 2, 3, 4].into(), [5, 6, 7, 8].into()];
    assert_eq!(w.node.answers[0].1, DnsAnswer::Addresses(addresses));
    assert_eq!(questions.borrow()[0].1.name(), "_dnsaddr.example.org.");
}

#[test]
fn an_address_in_text_form_needs_no_server() {
    let (mut w, questions) = world(|_, _| Vec::new());
    w.node.resolve(DnsQuery::Addresses("10.1.2.3".into()));
    w.run(SECOND_OF_TIME);
    assert_eq!(
        w.node.answers[0].1,
        DnsAnswer::Addresses(vec![[10, 1, 2, 3].into()])
    );
    assert!(questions.borrow().is_empty());
}

#[test]
fn a_silent_server_is_left_for_the_other_after_two_seconds() {
    let (mut w, questions) = world(|_, q| match q.server {
        SECOND => vec![q.frame(&q.reply(OK, &[txt("x")]))],
        _ => Vec::new(),
    });
    assert_eq!(resolve(&mut w, Duration::from_millis(2100)), texts(&["x"]));
    assert_eq!(questions.borrow().len(), 2);
}

#[test]
fn silence_everywhere_ends_after_three_rounds() {
    let (mut w, questions) = world(|_, _| Vec::new());
    assert_eq!(resolve(&mut w, 13 * SECOND_OF_TIME), DnsAnswer::Failed);
    assert_eq!(error(&w), Some(LookupError::NoAnswer));
    let times: Vec<u64> = questions
        .borrow()
        .iter()
        .map(|(at, _)| *at / 1000)
        .collect();
    assert_eq!(times, [0, 2, 4, 6, 8, 10]);
    assert!((12_000..12_100).contains(&w.now.as_millis()));
}

#[test]
fn each_try_has_an_id_and_a_port_of_its_own() {
    let (mut w, questions) = world(|_, _| Vec::new());
    resolve(&mut w, 13 * SECOND_OF_TIME);
    let questions = questions.borrow();
    for (i, (_, a)) in questions.iter().enumerate() {
        for (_, b) in &questions[..i] {
            assert!(a.id() != b.id() && a.from.1 != b.from.1);
        }
    }
}

#[test]
fn no_such_name_is_an_answer_and_ends_it() {
    let (mut w, questions) = world(|_, q| vec![q.frame(&q.reply(0x8183, &[]))]);
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), DnsAnswer::Failed);
    assert_eq!(error(&w), Some(LookupError::NotFound));
    assert_eq!(questions.borrow().len(), 1);
}

#[test]
fn a_server_that_fails_is_left_at_once() {
    let (mut w, questions) = world(|_, q| {
        let is_first = q.server == SERVER;
        vec![q.frame(&q.reply(if is_first { 0x8182 } else { OK }, &[txt("x")]))]
    });
    assert_eq!(resolve(&mut w, Duration::from_millis(100)), texts(&["x"]));
    assert_eq!(questions.borrow().len(), 2);
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let (mut w, questions) = world(|_, q| {
        let flags = if q.has_edns() { 0x8181 } else { OK };
        vec![q.frame(&q.reply(flags, &[txt("x")]))]
    });
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), texts(&["x"]));
    assert_eq!(questions.borrow()[1].1.server, SERVER);
}

#[test]
fn forged_answers_do_not_count_and_the_true_one_still_does() {
    let (mut w, _) = world(|_, q| {
        let evil = q.reply(OK, &[txt("evil")]);
        let mut other_id = evil.clone();
        other_id[1] ^= 1;
        let mut other_name = evil.clone();
        other_name[13] ^= 1;
        let mut a_question = evil.clone();
        a_question[2] &= 0x7f;
        let mut frames = vec![
            q.frame(&other_id),
            q.frame(&other_name),
            q.frame(&a_question),
            q.frame_from((SERVER, 5353), &evil),
            q.frame_from(([10, 0, 2, 66].into(), 53), &evil),
            q.frame(&[]),
            q.frame(&evil[..20]),
        ];
        frames.push(q.frame(&q.reply(OK, &[txt("good")])));
        frames
    });
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), texts(&["good"]));
}

#[test]
fn a_flood_of_forged_answers_only_costs_a_try() {
    let (mut w, _) = world(|n, q| {
        if n > 0 {
            return vec![q.frame(&q.reply(OK, &[txt("good")]))];
        }
        let mut forged = q.reply(OK, &[txt("evil")]);
        (0..2000_u16)
            .map(|i| {
                let id = if i == q.id() { i + 1 } else { i };
                forged[..2].copy_from_slice(&id.to_be_bytes());
                q.frame(&forged)
            })
            .collect()
    });
    assert_eq!(resolve(&mut w, 3 * SECOND_OF_TIME), texts(&["good"]));
}

#[test]
fn a_broken_answer_leads_to_the_other_server() {
    let (mut w, _) = world(|_, q| {
        let mut broken = q.reply(OK, &[txt("x")]);
        if q.server == SERVER {
            broken.truncate(broken.len() - 1);
        }
        vec![q.frame(&broken)]
    });
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), texts(&["x"]));
}

#[test]
fn an_alias_without_records_is_asked_for_itself() {
    let (mut w, questions) = world(|_, q| {
        let is_alias = q.name() == "_dnsaddr.example.org.";
        let records = [if is_alias {
            record(5, b"\x01b\xc0\x15")
        } else {
            txt("x")
        }];
        vec![q.frame(&q.reply(OK, &records))]
    });
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), texts(&["x"]));
    assert_eq!(questions.borrow()[1].1.name(), "b.example.org.");
}

#[test]
fn aliases_without_end_are_given_up() {
    let (mut w, questions) = world(|n, q| {
        let label = b'a' + u8::try_from(n % 26).expect("small");
        vec![q.frame(&q.reply(OK, &[record(5, &[1, label, 0])]))]
    });
    assert_eq!(resolve(&mut w, SECOND_OF_TIME), DnsAnswer::Failed);
    assert_eq!(error(&w), Some(LookupError::BadAnswer));
    assert!(questions.borrow().len() < 12);
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let (mut w, _) = world(|_, q| vec![q.frame(&q.reply(0x8380, &[]))]);
    w.server.serve(53, Service::DnsTexts(300));
    let DnsAnswer::Txt(got) = resolve(&mut w, SECOND_OF_TIME) else {
        panic!("no texts");
    };
    // Of 300 records the first 128 are looked at.
    assert_eq!((got.len(), got[127].as_str()), (128, "text 127"));
}

#[test]
fn a_truncated_answer_without_tcp_fails_in_bounded_time() {
    for service in [
        None,
        Some(Service::Deaf),
        Some(Service::Hang),
        Some(Service::Source(1_000_000)),
    ] {
        let (mut w, _) = world(|_, q| vec![q.frame(&q.reply(0x8380, &[]))]);
        if let Some(service) = service {
            w.server.serve(53, service);
        }
        assert_eq!(
            resolve(&mut w, 30 * SECOND_OF_TIME),
            DnsAnswer::Failed,
            "{service:?}"
        );
        assert!(
            matches!(
                error(&w),
                Some(LookupError::BadAnswer | LookupError::NoAnswer)
            ),
            "{service:?}"
        );
    }
}

#[test]
fn lost_questions_and_answers_are_repeated() {
    for seed in 0..30 {
        let (mut w, _) = world(|_, q| vec![q.frame(&q.reply(OK, &[txt("x")]))]);
        w.wire.set_faults(Faults {
            seed,
            lost_per_mille: 200,
            ..Faults::default()
        });
        assert_eq!(
            resolve(&mut w, 13 * SECOND_OF_TIME),
            texts(&["x"]),
            "seed {seed}"
        );
    }
}

#[test]
fn many_questions_are_answered_and_too_many_fail_at_once() {
    let (mut w, _) = world(|_, q| vec![q.frame(&q.reply(OK, &[txt("x")]))]);
    for _ in 0..100 {
        w.node.resolve(DnsQuery::Txt(NAME.into()));
    }
    w.run(SECOND_OF_TIME);
    let good = w
        .node
        .answers
        .iter()
        .filter(|(_, a)| *a == texts(&["x"]))
        .count();
    assert_eq!((good, w.node.answers.len()), (64, 100));
    assert_eq!(
        w.count(|e| matches!(
            e,
            Event::DnsFailed {
                error: LookupError::TooMany,
                ..
            }
        )),
        36
    );
}

#[test]
fn bad_names_and_missing_servers_fail_at_once() {
    let (mut w, _) = world(|_, _| Vec::new());
    w.node.resolve(DnsQuery::Txt("a..b".into()));
    w.settle();
    assert_eq!(error(&w), Some(LookupError::BadName));

    let mut config = Config::new(MAC, 1);
    config.static_address = Some(([10, 0, 2, 15].into(), 24, None, Vec::new()));
    let mut w = World::with(config, Faults::default());
    w.node.resolve(DnsQuery::Txt(NAME.into()));
    w.run(Duration::from_millis(1));
    assert_eq!(error(&w), Some(LookupError::NoServer));
    assert_eq!(w.node.answers.len(), 1);
}
