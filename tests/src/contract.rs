//! The part of the contract that is the same for every noun: six calls and their twelve messages, told once in `contract/calls.txt` and
//! `contract/messages.txt`. One more noun is a line of [`House::nouns`], its message, and `QIANSHOU_WRITE=1 tests/run contract`.
//!
//! It writes texts and knows no type, for the rest is compiled from what it writes.

/// A house whose service keeps nouns.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// Its service, by its full name.
    pub service: &'static str,
    /// Where it is written down.
    pub file: &'static str,
    /// Its further calls that may be repeated: they only read, or carry a request id.
    reads: &'static [&'static str],
    /// A line for each noun: message | plural | home in an example, `00` if only the nation keeps it | level | natural key | what is
    /// said to be taken, if in other words | reasons that not every noun has, STILL_REFERENCED+ if an update may be refused for it, too | states |
    /// an example of an update mask.
    nouns: &'static str,
}

/// The houses.
pub const HOUSES: [House; 2] = [REGISTRY, PAIRING];

const REGISTRY: House = House {
    service: "qianshou.registry.v1.RegistryService",
    file: "proto/qianshou/registry/v1/service.proto",
    reads: &["ListDuplicates", "ErasePerson", "CreateProposal", "GetProposal", "ListProposals"],
    nouns: "
Division    | Divisions    | 00 | L1 | code and `valid_from`           | the same code in an overlapping interval | OUT_OF_ORDER STILL_REFERENCED | `VALID` or `GONE` | valid_to
Change      | Changes      | 00 | L1 | effective_on and the first code | effective_on and the first code | NOT_IN_LIST TOO_MANY | a ChangeKind without its prefix, e.g. `MERGED` | document
Agency      | Agencies     | 64 | L2 | `uscc`                          |                         | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY STILL_REFERENCED | `OPEN` or `CLOSED` | display_name,closed_on
Station     | Stations     | 64 | L2 | display_name, type and division | name, type and division | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND STILL_REFERENCED | a StationStatus without its prefix, e.g. `OPERATING` | status,closed_on
Worker      | Workers      | 64 | L3 | `id_number` within its county   | the same number in its county | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND STILL_REFERENCED | `ACTIVE` or `LEFT` | division,until
Certificate | Certificates | 64 | L3 | level, number and worker        | the same level and number in its county | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | `ISSUED`, `REGISTERED`, `RE_REGISTERED` or `REVOKED`; on the day `at`, absent today: `DUE` from three months before the registration ends, or a year after the issue without one, and `LAPSED` from the day after it | registered_until
Post        | Posts        | 64 | L2 | display_name, employer, category and division |           | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER REFERENCE_NOT_FOUND STILL_REFERENCED | `OPEN` or `CLOSED` | count,ended_on
Employment  | Employments  | 64 | L3 | worker, since, employer and station |                     | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER REFERENCE_NOT_FOUND | `ACTIVE` or `LEFT` | until
System      | Systems      | 64 | L1 | division and since              | an overlapping interval of the same area | NOT_IN_LIST OUT_OF_ORDER | `VALID` or `GONE` | types,until
Incubation  | Incubations  | 64 | L2 | base, agency and since          |                         | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | an IncubationStageKind without its prefix, e.g. `GRADUATED` | stage,stages
Template    | Templates    | 64 | L1 | display_name, edition and division | display_name, edition and division; or a criterion's code | NOT_IN_LIST OUT_OF_ORDER TOO_MANY STILL_REFERENCED+ | `VALID` or `GONE` | valid_to
Assessment  | Assessments  | 64 | L2 | station, template and assessed_on | station, template and assessed_on; or a criterion | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | `COMPLETE`, all six haves were found, or `PARTIAL` | results,six_haves
Recognition | Recognitions | 64 | L3 | whom it recognises, kind, recognised_on, level and batch | the same recognition | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | `STANDING` or `WITHDRAWN` | valid_until,withdrawn_on
Document    | Documents    | 64 | L1 | number and first issuer, or title and `issued_on` |       | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY | a DocumentStatus without its prefix, e.g. `IN_FORCE` | status,repealed_on
Move        | Moves        | 35 | L2 | the record that moves           | the same record | IN_FUTURE REFERENCE_NOT_FOUND | `OFFERED` or `DONE` | on,reason
Merge       | Merges       | 64 | L2 | the duplicate                   | the same duplicate | REFERENCE_NOT_FOUND | `STANDING` | reason
Task        | Tasks        | 64 | L1 | title, division and `issued_on` | title, division and `issued_on`; or a duty | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY | `OPEN` or `DONE`; on the day `at`, absent today: `OVERDUE` from the day after it was due | done_on
Campaign    | Campaigns    | 64 | L1 | title and `starts_on`           | title and `starts_on`; or a measure's code | NOT_IN_LIST OUT_OF_ORDER TOO_MANY | `STANDING`; on the day `at`, absent today: `OVER` from the day after its last | ends_on
Figure      | Figures      | 64 | L1 | campaign, measure, division and day | the same figure | NOT_IN_LIST IN_FUTURE | `REPORTED` | value
Category | Categories | 64 | L1 | code and division               |                         | NOT_IN_LIST OUT_OF_ORDER TOO_MANY | `VALID` or `GONE` | valid_to
Quota       | Quotas       | 64 | L1 | title, division and since       | title, division and since; or a part | NOT_IN_LIST OUT_OF_ORDER TOO_MANY | `VALID` or `GONE` | parts,until
Tag         | Tags         | 64 | L1 | division, label and since       |                         | NOT_IN_LIST OUT_OF_ORDER | `VALID` or `GONE` | until
",
};

const PAIRING: House = House {
    service: "qianshou.pairing.v1.PairingService",
    file: "proto/qianshou/pairing/v1/service.proto",
    reads: &["GetPairing", "ListPairings", "ListFindings", "ListMatches", "ListOrderStates"],
    nouns: "
Commitment | Commitments | 64 | L2 | programme, batch, sending_uscc and receiving_uscc | the same pair; or an agency that has another in this batch | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | `OPEN` or `CLOSED` | reviews,closed_on
Approval   | Approvals   | 00 | L1 | the pair and `terms_digest`           |          | CHECK_DIGIT NOT_IN_LIST IN_FUTURE | a Decision without its prefix, e.g. `APPROVED` | decision,on
Outcome    | Outcomes    | 64 | L1 | programme, batch, receiving_uscc, measure and reported_on |  | CHECK_DIGIT NOT_IN_LIST IN_FUTURE | an OutcomeMeasure without its prefix, e.g. `PROJECTS` | value
Dispatch   | Dispatches  | 64 | L3 | programme, year, id_number, host_division and from | programme, year, id_number, host_division and from; or the number | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND STILL_REFERENCED | `SENT` or `RETURNED` | until,projects
Arrival    | Arrivals    | 64 | L2 | programme, year, number and from      |          | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER | `SERVING`; on the day `at`, absent today: `LEFT` from the day after its last | service_days,until
Project    | Projects    | 64 | L2 | display_name and agency_uscc          | display_name and agency_uscc; or a part of it | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY | a ProjectStageKind without its prefix, e.g. `APPROVED` | stage,stages
Allocation | Allocations | 64 | L2 | programme, year, source, purpose and division |   | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY | a FundSource without its prefix, e.g. `CENTRAL` | amount_fen,performance
Payment    | Payments    | 64 | L2 | payer, payee_uscc, paid_on and voucher |         | CHECK_DIGIT NOT_IN_LIST IN_FUTURE | `PAID` | amount_fen,purpose
Programme  | Programmes  | 64 | L1 | display_name and division           | display_name and division; or a batch | NOT_IN_LIST OUT_OF_ORDER TOO_MANY STILL_REFERENCED | `VALID` or `GONE` | batches,until
Activity   | Activities  | 64 | L2 | programme, batch, receiving_uscc, kind, held_on and title |  | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY | an ActivityKind without its prefix, e.g. `VISIT` | persons
Offer      | Offers      | 64 | L2 | party, title, division and from       | party, title, division and from; or its place on the menu | NOT_IN_LIST OUT_OF_ORDER STILL_REFERENCED | `OPEN`; on the day `at`, absent today: `CLOSED` from the day after its last | quantity,until
Need       | Needs       | 64 | L2 | party, title, division and from       |          | NOT_IN_LIST OUT_OF_ORDER STILL_REFERENCED | `OPEN`; on the day `at`, absent today: `CLOSED` from the day after its last | quantity,until
Order      | Orders      | 64 | L2 | offer, need and ordered_on            |          | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER REFERENCE_NOT_FOUND STILL_REFERENCED | `ORDERED`, `CANCELLED` or `CONFIRMED` | confirmed_on,feedback
Acceptance | Acceptances | 35 | L2 | order                                 | the same order | NOT_IN_LIST IN_FUTURE OUT_OF_ORDER TOO_MANY REFERENCE_NOT_FOUND | `TAKEN`, `DECLINED` or `FULFILLED` | deliveries,fulfilled_on
Receipt    | Receipts    | 64 | L2 | payer, payee_uscc, received_on and voucher |     | CHECK_DIGIT NOT_IN_LIST IN_FUTURE OUT_OF_ORDER | `RECEIVED` | amount_fen
",
};

const CALLS: &str = include_str!("../contract/calls.txt");
const MESSAGES: &str = include_str!("../contract/messages.txt");

/// What writing may be refused with, in the order in which it is told: of `*` where the noun says so, of `+` where there is a record
/// already, of `-` where there is something to be said.
const WRITING: &str = "REQUIRED MALFORMED *CHECK_DIGIT *NOT_IN_LIST *IN_FUTURE *OUT_OF_ORDER -TOO_LONG *TOO_MANY -CONTROL_CHARACTER \
    *REFERENCE_NOT_FOUND -READ_ONLY +UNKNOWN_FIELD -DUPLICATE +NOT_FOUND NOT_HOME *STILL_REFERENCED +STALE_VERSION REQUEST_ID_REUSED \
    UNAUTHENTICATED FORBIDDEN AREA_FORBIDDEN BUSY CONTRACT_LEVEL UNAVAILABLE INTERNAL";

/// Between these lines stands what is written here; whatever else a file holds is kept.
const BEGIN: &str = "// ---- the same for every noun, written by tests/src/contract.rs";
const END: &str = "// ---- the end of what is written";

/// Characters in a line at most.
const WIDTH: usize = 127;

/// Which call writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
    Delete,
}

/// A line of [`House::nouns`].
struct Noun {
    message: &'static str,
    plural: &'static str,
    home: &'static str,
    level: &'static str,
    key: &'static str,
    taken: &'static str,
    reasons: &'static str,
    states: &'static str,
    mask: &'static str,
}

impl House {
    /// The service's file with the standard part as it should be.
    ///
    /// # Panics
    /// If a marked place in it does not end; there are two, one in the service and one below it.
    #[must_use]
    pub fn written(&self, file: &str) -> String {
        let nouns = self.nouns();
        let of_all = |template: &str, between: &str| -> String {
            nouns.iter().map(|noun| noun.told(template)).collect::<Vec<_>>().join(between)
        };
        let mut rest = file.split_inclusive('\n');
        let mut text = String::new();
        for (indent, part) in [("  ", of_all(CALLS, "")), ("", of_all(MESSAGES, "\n"))] {
            text.extend(rest.by_ref().take_while(|line| line.trim() != BEGIN));
            text += &format!("{indent}{BEGIN}\n\n{part}\n{indent}{END}\n");
            assert!(rest.any(|line| line.trim() == END), "{}: no line says {END}", self.file);
        }
        text.extend(rest);
        text
    }

    /// The list of calls that may be repeated by a client, with this service's as they should be.
    #[must_use]
    pub fn retried(&self, config: &str) -> String {
        let named =
            |method: String| format!("        {{\"service\": \"{}\", \"method\": \"{method}\"}},\n", self.service);
        let of_noun = |Noun { message, plural, .. }: &Noun| {
            let methods = [
                format!("Create{message}"),
                format!("Get{message}"),
                format!("List{plural}"),
                format!("Update{message}"),
                format!("Delete{message}"),
            ];
            methods.map(named).concat()
        };
        let further = self.reads.iter().map(|method| named((*method).to_owned()));
        let ours = self.nouns().iter().map(of_noun).chain(further).collect::<String>();
        let is_ours = |line: &&str| line.contains(&format!("\"{}\"", self.service));
        let lines = || config.split_inclusive('\n');
        let first = lines().take_while(|line| !is_ours(line)).count();
        let others = lines().skip(first).filter(|line| !is_ours(line));
        lines().take(first).chain([ours.as_str()]).chain(others).collect()
    }

    fn nouns(&self) -> Vec<Noun> {
        let noun = |line: &'static str| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [message, plural, home, level, key, taken, reasons, states, mask] = parts[..] else {
                panic!("not the parts of a noun: {line}");
            };
            Noun { message, plural, home, level, key, taken, reasons, states, mask }
        };
        self.nouns.lines().filter(|line| !line.is_empty()).map(noun).collect()
    }
}

impl Noun {
    /// A template with this noun in it.
    fn told(&self, template: &str) -> String {
        let Self { message, plural, home, level, key, states, mask, .. } = self;
        let (noun, nouns) = (message.to_lowercase(), plural.to_lowercase());
        let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let words = [
            ("{a noun}", format!("{article} {noun}")),
            ("{create}", self.refusals(Verb::Create)),
            ("{update}", self.refusals(Verb::Update)),
            ("{delete}", self.refusals(Verb::Delete)),
            ("{Noun}", (*message).to_owned()),
            ("{Nouns}", (*plural).to_owned()),
            ("{noun}", noun),
            ("{nouns}", nouns),
            ("{home}", (*home).to_owned()),
            ("{level}", (*level).to_owned()),
            ("{key}", (*key).to_owned()),
            ("{states}", (*states).to_owned()),
            ("{mask}", (*mask).to_owned()),
        ];
        let filled = words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value));
        filled.lines().map(wrapped).collect()
    }

    /// What a call that writes may refuse with.
    fn refusals(&self, verb: Verb) -> String {
        let known = |reason: &str| self.reasons.split(' ').any(|own| own.trim_end_matches('+') == reason);
        let frozen = verb == Verb::Update && self.reasons.contains("STILL_REFERENCED+");
        let told = WRITING.split_whitespace().filter_map(|marked| {
            let reason = marked.trim_start_matches(['*', '+', '-']);
            let holds = match (verb, &marked[..1]) {
                (Verb::Delete, "*") => reason == "STILL_REFERENCED" && known(reason),
                (_, "*") => (frozen || reason != "STILL_REFERENCED") && known(reason),
                (Verb::Delete, "-") => false,
                (Verb::Delete, "+") => reason != "UNKNOWN_FIELD",
                (Verb::Create, "+") => false,
                (Verb::Create, _) if reason == "NOT_HOME" => self.home == "00",
                _ => true,
            };
            holds.then(|| match reason {
                "DUPLICATE" => format!("DUPLICATE ({})", if self.taken.is_empty() { self.key } else { self.taken }),
                "NOT_HOME" if verb == Verb::Create => {
                    format!("NOT_HOME (only node 00 keeps {})", self.plural.to_lowercase())
                }
                reason => reason.to_owned(),
            })
        });
        format!("Reasons: {}.", told.collect::<Vec<_>>().join(", "))
    }
}

/// A line of a file; a comment that is too long goes on in the next.
fn wrapped(line: &str) -> String {
    let Some((indent, text)) = line.split_once("// ") else { return format!("{line}\n") };
    let mut lines = String::new();
    let mut last = format!("{indent}//");
    for word in text.split(' ') {
        if last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines = lines + &last + "\n";
            last = format!("{indent}//");
        }
        last = last + " " + word;
    }
    lines + &last + "\n"
}
