//! Offers (资源供给): what one of the five parties can give, or an item of a service menu; and how well it fits a need.

use std::collections::BTreeMap;

use qianshou_kernel::{
    clock::{day_after, parse_day},
    joint::{Said, newest},
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::pairing::v1::{Match, Need, Offer, PartyType};
use time::Date;

pub(super) static PARTIES: [Choice; 5] = [
    Choice::new("COMMUNITY", "社区", &["城乡社区"]),
    Choice::new("ORGANISATION", "社会组织", &["社工机构"]),
    Choice::new("SOCIAL_WORKER", "社会工作者", &["社工"]),
    Choice::new("VOLUNTEER", "志愿者", &["社区志愿者", "志愿服务组织"]),
    Choice::new("CHARITY", "慈善资源", &["社会慈善资源", "慈善"]),
];

type F = Field<Offer>;
static FIELDS: [F; 9] = [
    F::text("party", "提供方", |offer| &mut offer.party)
        .or(&["单位", "单位名称"])
        .required()
        .key()
        .example("厦门市同心社会工作服务中心"),
    F::choice::<PartyType>("party_type", "主体类型", |offer| &mut offer.party_type, &PARTIES)
        .required()
        .example("社会组织"),
    F::text("title", "名称", |offer| &mut offer.title).or(&["内容"]).required().key().example("助老陪伴"),
    F::text("kind", "类别", |offer| &mut offer.kind).or(&["领域"]).required().example("养老服务"),
    F::division("division", "所在地区划代码", |offer| &mut offer.division)
        .or(&["区划代码"])
        .required()
        .key()
        .example("640303"),
    F::count("quantity", "数量", |offer| &mut offer.quantity, 1..=10_000_000).example("10"),
    F::day("from", "开始日期", |offer| &mut offer.from, Days::Any).required().key().example("2023-01-01"),
    F::last_day("until", "结束日期", |offer| &mut offer.until),
    F::text("menu_code", "菜单编号", |offer| &mut offer.menu_code).or(&["服务菜单编号", "菜单号"]).example("YL-03"),
];
static SHEET: Sheet = Sheet::new("资源供给", &columns(&FIELDS));

/// The noun.
pub struct Offers;

impl Noun for Offers {
    type Record = Offer;

    const COLLECTION: &'static str = "offers";
    const TABLE: &'static str = "pairing_offers";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const COLUMNS: &'static [&'static str] = &["closed_on"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("CLOSED", "closed_on")];
    const INDEX_LEVEL: i64 = 2;

    fn check(offer: &mut Offer, check: &mut Check) {
        check.in_order(("until", &offer.until), ("from", &offer.from));
    }

    fn index(offer: &Offer, _blind: Option<&str>) -> Index {
        let Offer { party, title, division, from, until, menu_code, .. } = offer;
        let sort = if menu_code.is_some() { "MENU" } else { "RESOURCE" };
        Index::new(division, "OPEN", title)
            .of_type(sort, "OFFER_TYPE_")
            .code(menu_code)
            .column(day_after(until))
            .claim("title", &[party.as_deref(), title.as_deref(), division.as_deref(), from.as_deref()])
            .shares("kind", offer.kind.clone())
            .claim("menu_code", &[division.as_deref(), menu_code.as_deref(), from.as_deref()])
    }
}

/// The offers that fit a need, the best first: of the same kind, for some of its days, and not all ordered yet. The parts of a score are told, so anybody can
/// check them: kind 40, place 30, quantity 20, term 10.
#[must_use]
pub fn matches(need: &Need, offers: &[Said<Offer>], ordered: &BTreeMap<String, u64>) -> Vec<Match> {
    let mut matches: Vec<Match> = newest(offers)
        .into_iter()
        .filter(|(said, offer)| said.cut.is_none() && offer.kind.is_some() && offer.kind == need.kind)
        .filter_map(|(said, offer)| {
            let place_points = place(need.division(), offer.division());
            let taken = ordered.get(said.name.as_str()).copied().unwrap_or(0);
            let left = offer.quantity.map(|offered| u64::from(offered).saturating_sub(taken));
            let quantity_points = match (need.quantity, left) {
                (_, Some(0)) => return None,
                (Some(needed), Some(left)) if needed > 0 => {
                    let needed = u64::from(needed);
                    u32::try_from(u64::from(QUANTITY) * left.min(needed) / needed).unwrap_or(QUANTITY)
                }
                _ => QUANTITY,
            };
            let term_points = term(need, offer)?;
            Some(Match {
                offer: Some(said.name.to_string()),
                score: Some(KIND + place_points + quantity_points + term_points),
                kind_points: Some(KIND),
                place_points: Some(place_points),
                quantity_points: Some(quantity_points),
                term_points: Some(term_points),
                left,
            })
        })
        .collect();
    matches.sort_by(|one, other| other.score.cmp(&one.score).then_with(|| one.offer.cmp(&other.offer)));
    matches
}

const KIND: u32 = 40;
const QUANTITY: u32 = 20;
const TERM: i64 = 10;

/// By the smallest division that holds both.
fn place(one: &str, other: &str) -> u32 {
    let same = |digits: usize| one.get(..digits).is_some_and(|area| Some(area) == other.get(..digits));
    [(6, 30), (4, 20), (2, 10)].into_iter().find(|(digits, _)| same(*digits)).map_or(0, |(_, points)| points)
}

/// By the part of the need's days that the offer covers; `None`: none of them. A need without end has all its days from the offer's first.
fn term(need: &Need, offer: &Offer) -> Option<u32> {
    let day = |text: &Option<String>| text.as_deref().and_then(parse_day);
    let (needed, offered) = (day(&need.from)?, day(&offer.from)?);
    let ends = [day(&need.until), day(&offer.until)].into_iter().flatten().min();
    let begins = needed.max(offered);
    if ends.is_some_and(|ends| ends < begins) {
        return None;
    }
    let points = match (day(&need.until), ends) {
        (Some(until), Some(ends)) => {
            let days = |from: Date, to: Date| (to - from).whole_days() + 1;
            TERM * days(begins, ends) / days(needed, until).max(1)
        }
        _ => TERM,
    };
    u32::try_from(points).ok()
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::ledger::Version;

    use super::*;

    #[test]
    fn a_score_is_the_sum_of_what_is_told() {
        let text = |text: &str| Some(text.to_owned());
        let need = Need {
            kind: text("养老服务"),
            division: text("640303"),
            quantity: Some(10),
            from: text("2023-01-01"),
            until: text("2023-12-31"),
            ..Need::default()
        };
        let offer = |id: &str, kind: &str, division: &str, quantity, from: &str, until: &str| Said {
            name: format!("nodes/35/offers/{id}").parse().unwrap(),
            version: Version::default(),
            cut: None,
            said: Some(Offer {
                kind: text(kind),
                division: text(division),
                quantity,
                from: text(from),
                until: Some(until.to_owned()).filter(|until| !until.is_empty()),
                ..Offer::default()
            }),
        };
        let offers = [
            offer("a", "养老服务", "350203", Some(10), "2023-01-01", ""),
            offer("b", "养老服务", "640303", Some(5), "2023-01-01", "2023-12-31"),
            offer("c", "儿童福利", "640303", None, "2023-01-01", ""),
            offer("d", "养老服务", "640324", None, "2024-01-01", ""),
            offer("e", "养老服务", "640324", None, "2023-07-02", ""),
        ];
        // What is ordered already can be had no more.
        let ordered = |n| BTreeMap::from([("nodes/35/offers/b".to_owned(), n)]);
        assert_eq!(matches(&need, &offers, &ordered(3))[1].score(), 84);
        assert_eq!(matches(&need, &offers, &ordered(5)).len(), 2);
        let told: Vec<(String, u32, u32)> = matches(&need, &offers, &BTreeMap::new())
            .iter()
            .map(|m| (m.offer().rsplit('/').next().unwrap().to_owned(), m.score(), m.term_points()))
            .collect();
        assert_eq!(told, [("b".into(), 90, 10), ("e".into(), 85, 5), ("a".into(), 70, 10)]);
    }
}
