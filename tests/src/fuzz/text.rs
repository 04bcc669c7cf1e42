//! Small texts that callers send beside records: names, areas, days, identifiers, tokens of pages, versions, deadlines, traces. Each is read
//! into something that is written as what was read, or refused.

use http::{HeaderMap, HeaderValue};
use qianshou_kernel::{
    clock::{day_after, format_day, parse_day},
    id::{Area, Name, is_node},
    identifier::{citizen_number, citizen_with_check, division_code, uscc, uscc_with_check},
    kind::{page_key, page_token, version_of},
    server::asked_deadline,
    telemetry::Trace,
};

use super::{Lawful, Mutation, Target, chance::Chance, matter, must};

/// An input is a text; bytes that are none are read as one with marks.
struct Texts {
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    Box::new(Texts { mutation })
}

impl Target for Texts {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut text = match chance.below(8) {
            0 => format!("{}{}", chance.number(), chance.one(&["H", "M", "S", "m", "u", "n", "x", ""])),
            1 => format!("{}.{}", chance.number(), chance.number()),
            2 => page_token("what was asked", &(matter::text(chance), chance.number())).unwrap_or_default(),
            3 => uscc_with_check("91350100M000100Y4").unwrap_or_default(),
            4 => citizen_with_check("11010519491231002").unwrap_or_default(),
            5 => format!("{:04}-{:02}-{:02}", chance.below(10_000), chance.below(14), chance.below(33)),
            _ => matter::text(chance),
        }
        .into_bytes();
        if chance.percent(60) {
            let other = matter::text(chance).into_bytes();
            chance.mutate(&mut text, &[other]);
        }
        text
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let text = String::from_utf8_lossy(input);
        names(&text)?;
        self.areas(&text)?;
        days(&text)?;
        identifiers(&text)?;
        self.tokens(&text)?;
        headers(input, &text)
    }
}

fn names(text: &str) -> Lawful {
    if let Ok(name) = text.parse::<Name>() {
        let whole = Name::of(name.home(), name.kind(), name.id());
        must(whole == name && name.as_str() == text, "a-name-is-its-parts", || text.to_owned())?;
        let sound = is_node(name.home()) && name.kind().is_ascii() && !name.id().contains('/') && text.len() < 140;
        must(sound, "a-name-is-short-and-plain", || text.to_owned())?;
    }
    must(!is_node(text) || text.parse::<u64>().is_ok(), "a-node-is-digits", || text.to_owned())
}

impl Texts {
    fn areas(&self, text: &str) -> Lawful {
        let Some(area) = Area::parse(text) else { return Ok(()) };
        let seen = || format!("{text:?}: {area:?}");
        must(Area::parse(area.as_str()).as_ref() == Some(&area), "an-area-has-one-form", seen)?;
        must(area.covers(area.as_str()) && area.path().last() == Some(&area.as_str()), "an-area-lies-in-itself", seen)?;
        let above =
            area.path().into_iter().all(|above| Area::parse(above).is_some_and(|above| above.covers(area.as_str())));
        must(above, "an-area-lies-in-what-is-above", seen)?;
        if let Some(after) = area.after() {
            let after = if self.mutation == Some(Mutation::EarlyEnd) { area.as_str().to_owned() } else { after };
            let below = format!("{}999999999999", area.as_str());
            let beyond = area.as_str() < after.as_str() && (below < after || area.as_str() == Area::NATION);
            must(beyond && !after.starts_with(area.as_str()), "what-comes-after-is-beyond", seen)?;
        }
        let _ = (area.class(), area.parent());
        Ok(())
    }

    fn tokens(&self, text: &str) -> Lawful {
        let key = page_key::<(String, u64)>("what was asked", Some(text));
        if let Ok(Some(key)) = &key {
            let again = page_token("what was asked", key).ok();
            let read = again.and_then(|token| page_key::<(String, u64)>("what was asked", Some(&token)).ok().flatten());
            must(read.as_ref() == Some(key), "a-token-is-read-as-it-was-made", || text.to_owned())?;
            let other = page_key::<(String, u64)>("something else", Some(text));
            must(other.is_err(), "a-token-continues-its-own-list", || text.to_owned())?;
        }
        if let Ok(version) = version_of(text) {
            let written = format!("{}.{}", version.epoch, version.revision);
            must(version_of(&written).is_ok_and(|again| again == version), "a-version-is-read-as-written", || {
                text.to_owned()
            })?;
        }
        Ok(())
    }
}

fn days(text: &str) -> Lawful {
    let Some(day) = parse_day(text) else { return Ok(()) };
    must(format_day(day) == text, "a-day-reads-as-it-is-written", || text.to_owned())?;
    let after = day_after(&Some(text.to_owned()));
    must(after.as_deref().is_none_or(|after| after > text), "the-day-after-is-later", || format!("{text} {after:?}"))
}

fn identifiers(text: &str) -> Lawful {
    let today = parse_day("2024-06-01").expect("a day");
    if let Ok(code) = uscc(text) {
        let seen = || text.to_owned();
        must(uscc(code.as_str()).as_ref() == Ok(&code) && code.as_str().len() == 18, "a-code-has-one-form", seen)?;
        must(uscc_with_check(&code.as_str()[..17]).as_deref() == Some(code.as_str()), "a-code-has-its-check", seen)?;
        let _ = (code.registered_in(), code.body_code_holds());
    }
    match citizen_number(text, today) {
        Ok(number) => {
            let again = citizen_number(number.as_str(), today);
            must(again.is_ok_and(|again| again == number), "a-number-has-one-form", || "a number".to_owned())?;
            must(number.birth_date() <= today, "nobody-is-born-tomorrow", || "a number".to_owned())?;
            must(!format!("{number:?}").contains(number.as_str()), "a-number-is-not-printed", || {
                "a number".to_owned()
            })?;
        }
        Err(error) => {
            let told = error.to_string();
            let is_word = !text.bytes().any(|byte| byte.is_ascii_digit());
            must(is_word || text.len() < 4 || !told.contains(text), "a-number-is-not-repeated", || {
                "a number".to_owned()
            })?;
        }
    }
    if let Ok(code) = division_code(text) {
        let seen = || text.to_owned();
        must(division_code(code.as_str()).as_ref() == Ok(&code), "a-division-has-one-form", seen)?;
        let above = code.ancestors().collect::<Vec<_>>();
        let nested =
            above.iter().all(|above| code.as_str().starts_with(above.as_str()) && above.level() < code.level());
        must(nested && above.len() < 5, "divisions-lie-within-each-other", seen)?;
        let _ = code.official();
    }
    let _ = (citizen_with_check(text), uscc_with_check(text));
    Ok(())
}

fn headers(input: &[u8], text: &str) -> Lawful {
    if let Ok(value) = HeaderValue::from_bytes(input) {
        let deadline = asked_deadline(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]));
        let most = std::time::Duration::from_secs(99_999_999 * 3600);
        must(deadline.is_none_or(|deadline| deadline <= most), "a-deadline-is-bounded", || {
            format!("{text:?} {deadline:?}")
        })?;
    }
    if let Some(trace) = Trace::hint(text) {
        must(Trace::hint(&trace.to_string()) == Some(trace), "a-trace-is-read-as-it-is-written", || text.to_owned())?;
    }
    Ok(())
}
