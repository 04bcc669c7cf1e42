//! A service menu, orders from it and what becomes of them, across provinces; what ends later is open until then; who takes whose place.

use qianshou_kernel::{error::Reason, kind::ListQuery};
use qianshou_proto::{
    exchange::v1::KindClause,
    pairing::v1::{
        Acceptance, Activity, Arrival, Dispatch, ListMatchesRequest, ListOrderStatesRequest, Need, Offer, Order,
        OrderStage, Project, ProjectStageKind,
    },
};
use qianshou_tests::{
    Caller, World, eventually,
    halves::{acceptance, activity, arrival, dispatch, need, offer, order, project, worked},
    refusal::refused,
    sample::uscc,
    stories,
    treaty::{agree, introduce, share, terms},
    verbs::Noun,
};

use crate::registry::{a_life, end_of_life};

stories! {
    an_order_is_told_by_both_its_halves
    what_is_ordered_is_there_and_stays
    what_ends_later_is_open_until_then
    somebody_takes_the_place_of_who_has_gone
    a_project_says_where_it_stands
    the_activities_of_a_pairing_are_found
}

/// Where the only order stands, as a node says.
async fn stage(at: &Caller) -> Option<OrderStage> {
    let asked = ListOrderStatesRequest { at: Some("2024-06-01".into()), ..ListOrderStatesRequest::default() };
    let told = at.pairing().list_order_states(asked).await.unwrap().into_inner();
    assert_eq!(told.next_page_token, None);
    let [order] = &told.orders[..] else { return None };
    let asked = ListOrderStatesRequest {
        state: Some(order.stage().as_str_name().trim_start_matches("ORDER_STAGE_").into()),
        at: Some("2024-06-01".into()),
        page_size: Some(1),
        ..ListOrderStatesRequest::default()
    };
    // It may have gone on meanwhile.
    let page = at.pairing().list_order_states(asked).await.unwrap().into_inner();
    page.orders.first().map(|order| order.stage())
}

/// Fujian's menu, Ningxia's need: each writes its own half, and both see the same.
async fn an_order_is_told_by_both_its_halves(world: World) {
    let (fujian, ningxia) = (world.node("35").await, world.node("64").await);
    let (fujian, ningxia) = (&fujian.admin, &ningxia.admin);
    introduce(&[fujian, ningxia]).await;
    let of = |clauses: [(&str, &str); 2], area: &str| -> Vec<KindClause> {
        clauses.into_iter().map(|(kind, fields)| share(kind, fields, area)).collect()
    };
    let menu = [
        ("offers", "party party_type title kind division quantity from until menu_code"),
        ("acceptances", "order decision on deliveries fulfilled_on division"),
    ];
    let asked = [
        ("needs", "party party_type title kind division quantity from until"),
        ("orders", "offer need quantity ordered_on cancelled_on confirmed_on feedback division"),
    ];
    agree(fujian, ningxia, terms("35", "64", of(menu, "35"))).await;
    agree(ningxia, fujian, terms("64", "35", of(asked, "64"))).await;
    let both = async |expected: OrderStage| {
        for at in [fujian, ningxia] {
            eventually("the order's stage", async || (stage(at).await == Some(expected)).then_some(())).await;
        }
    };

    let at_home = |n: u32, code: Option<&str>| Offer {
        division: Some("350203".into()),
        menu_code: code.map(str::to_owned),
        ..offer(n)
    };
    fujian.put(vec![at_home(1, Some("YL-03")), at_home(2, None)]).await.unwrap();
    let item = eventually("the menu at the other side", async || {
        let menu = ListQuery { r#type: Some("MENU".into()), ..ListQuery::default() };
        ningxia.list_all::<Offer>(menu).await.pop()
    })
    .await;
    let found = ListQuery { query: Some("yl03".into()), ..ListQuery::default() };
    assert_eq!((item.menu_code(), &ningxia.list_all::<Offer>(found).await[..]), ("YL-03", std::slice::from_ref(&item)));
    let wanted = ningxia.create(need(1)).await.unwrap().noun;
    let mut ordered = ningxia
        .create(Order { offer: item.name.clone(), quantity: Some(1), ..order(1, wanted.name()) })
        .await
        .unwrap()
        .noun;
    both(OrderStage::Ordered).await;

    let mut taken = fujian.create(Acceptance { deliveries: vec![], ..acceptance(ordered.name()) }).await.unwrap().noun;
    both(OrderStage::Taken).await;
    taken.fulfilled_on = Some("2023-05-20".into());
    taken.deliveries = acceptance("").deliveries;
    fujian.replace(taken).await.unwrap();
    both(OrderStage::Fulfilled).await;
    refused(ningxia.create(acceptance(ordered.name())).await, Reason::NotHome, "order");
    (ordered.confirmed_on, ordered.feedback) = (Some("2023-05-22".into()), Some(0));
    ningxia.replace(ordered).await.unwrap();
    both(OrderStage::Confirmed).await;
    // What was ordered is not offered again.
    let asked = ListMatchesRequest { need: wanted.name.clone(), ..ListMatchesRequest::default() };
    let matches = ningxia.pairing().list_matches(asked).await.unwrap().into_inner().matches;
    let left = matches.iter().find(|found| found.offer == item.name).map(|found| found.left);
    assert_eq!((item.quantity(), left.flatten()), (2, Some(1)));
    let asked = ListOrderStatesRequest { state: Some("LOST".into()), ..ListOrderStatesRequest::default() };
    refused(ningxia.pairing().list_order_states(asked).await, Reason::NotInList, "state");
}

async fn what_is_ordered_is_there_and_stays(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let wanted = admin.create(need(1)).await.unwrap().noun;
    let given = admin.create(offer(1)).await.unwrap().noun;
    let inside = Order { offer: given.name.clone(), ..order(1, wanted.name()) };
    let inside = a_life(&ningxia, inside, |o: &mut Order| o.feedback = Some(9_500), "feedback").await;
    let taken = acceptance(inside.name());
    let taken =
        a_life(&ningxia, taken, |a: &mut Acceptance| a.fulfilled_on = Some("2023-05-20".into()), "fulfilled_on");
    let taken = taken.await;
    for (name, refusal) in [
        (given.name(), admin.delete::<Offer>(given.name()).await),
        (wanted.name(), admin.delete::<Need>(wanted.name()).await),
        (inside.name(), admin.delete::<Order>(inside.name()).await),
    ] {
        assert!(!name.is_empty());
        refused(refusal, Reason::StillReferenced, "name");
    }
    refused(admin.create(acceptance(inside.name())).await, Reason::Duplicate, "order");
    end_of_life(admin, taken.name.clone().unwrap(), taken).await;
    admin.create(acceptance(inside.name())).await.unwrap();
    // Another node's need and order need not be here.
    admin.create(order(2, "nodes/35/needs/1")).await.unwrap();
    admin.create(acceptance("nodes/35/orders/7")).await.unwrap();
    // A menu lists a code of a place once at a time.
    let item = |n: u32| Offer { menu_code: Some("YL-03".into()), ..offer(n) };
    admin.create(item(5)).await.unwrap();
    refused(admin.create(item(6)).await, Reason::Duplicate, "menu_code");
    admin.create(Offer { from: Some("2024-01-01".into()), ..item(6) }).await.unwrap();
}

async fn what_ends_later_is_open_until_then(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let until = || Some("2024-06-30".to_owned());
    admin.put(vec![Offer { until: until(), ..offer(1) }, offer(2)]).await.unwrap();
    admin.put(vec![Need { until: until(), ..need(1) }, Need { until: None, ..need(2) }]).await.unwrap();
    admin.put(vec![Arrival { until: until(), ..arrival(1) }, arrival(2)]).await.unwrap();
    async fn counts<N: Noun>(at: &Caller, day: &str, states: [&str; 2]) -> [usize; 2] {
        let mut counts = [0, 0];
        for (count, state) in counts.iter_mut().zip(states) {
            let day = Some(day.to_owned()).filter(|day| !day.is_empty());
            let asked = ListQuery { state: Some(state.to_owned()), at: day, ..ListQuery::default() };
            *count = at.list_all::<N>(asked).await.len();
        }
        counts
    }
    for (day, expected) in [("", [2, 0]), ("2024-06-30", [2, 0]), ("2024-07-01", [1, 1])] {
        assert_eq!(counts::<Offer>(admin, day, ["OPEN", "CLOSED"]).await, expected, "{day}");
        assert_eq!(counts::<Need>(admin, day, ["OPEN", "CLOSED"]).await, expected, "{day}");
        assert_eq!(counts::<Arrival>(admin, day, ["SERVING", "LEFT"]).await, expected, "{day}");
    }
}

async fn somebody_takes_the_place_of_who_has_gone(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let gone = admin.create(Dispatch { returned_on: Some("2023-09-30".into()), ..dispatch(1) }).await.unwrap().noun;
    let endless = admin.create(Dispatch { until: None, ..dispatch(2) }).await.unwrap().noun;
    let instead =
        |of: &Dispatch, from: &str| Dispatch { replaces: of.name.clone(), from: Some(from.into()), ..dispatch(3) };
    refused(admin.create(instead(&gone, "2023-09-29")).await, Reason::OutOfOrder, "from");
    refused(admin.create(instead(&endless, "2023-10-08")).await, Reason::Malformed, "replaces");
    let elsewhere = Dispatch { programme: Some("山海协作".into()), ..instead(&gone, "2023-10-08") };
    refused(admin.create(elsewhere).await, Reason::Malformed, "replaces");
    let came = admin.create(instead(&gone, "2023-10-08")).await.unwrap().noun;
    let back = Dispatch { returned_on: came.from.clone(), etag: None, ..came };
    let itself = Dispatch { replaces: back.name.clone(), ..back.clone() };
    admin.replace(back).await.unwrap();
    refused(admin.replace(itself).await, Reason::Malformed, "replaces");
    refused(admin.delete::<Dispatch>(gone.name()).await, Reason::StillReferenced, "name");
    // A project of two counties is one.
    let far = admin.create(Dispatch { host_division: Some("640303".into()), ..dispatch(5) }).await.unwrap().noun;
    let near = admin.create(dispatch(6)).await.unwrap().noun;
    assert_eq!((far.participations.len(), &far.participations), (1, &near.participations));
    // An extension goes beyond what stands; without it the term is what it was.
    let longer = |until: &str| {
        let on = Some("2024-03-01".into());
        Dispatch {
            extensions: vec![qianshou_proto::pairing::v1::Extension { on, until: Some(until.into()) }],
            etag: None,
            ..near.clone()
        }
    };
    let extended = admin.replace(longer("2024-05-31")).await.unwrap().noun;
    assert_eq!(extended.until(), "2024-05-31");
    refused(admin.update(longer("2024-04-30"), &["extensions"]).await, Reason::OutOfOrder, "extensions[0].until");
    admin.update(longer("2024-04-30"), &["extensions", "until"]).await.unwrap();
}

async fn a_project_says_where_it_stands(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let bare = |n: u32| Project { stages: vec![], stage: None, approved_on: None, ..project(n) };
    let undated = Project { stage: Some(ProjectStageKind::Monitored.into()), ..bare(1) };
    assert_eq!(admin.create(undated).await.unwrap().noun.approved_on, None, "it was so before anybody counted");
    let dated = Project { approved_on: Some("2023-05-01".into()), ..bare(2) };
    assert_eq!(admin.create(dated).await.unwrap().noun.stage(), ProjectStageKind::Approved);
    assert_eq!(admin.create(bare(3)).await.unwrap().noun.stage, None);
    let whole =
        a_life(&ningxia, worked(project(4)), |p: &mut Project| p.grant_fen = Some(5_000_050), "grant_fen").await;
    end_of_life(admin, whole.name.clone().unwrap(), whole).await;
}

async fn the_activities_of_a_pairing_are_found(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let whole = admin.create(activity(1)).await.unwrap().noun;
    assert_eq!(whole.pairing(), format!("牵手计划/第一批/{}/{}", uscc(2), uscc(1)));
    let alone = admin.create(Activity { sending_uscc: None, ..activity(2) }).await.unwrap().noun;
    assert_eq!(alone.pairing, None);
    let find = async |text: &str| {
        let asked = ListQuery { query: Some(text.to_owned()), ..ListQuery::default() };
        let found = admin.list_all::<Activity>(asked).await;
        let mut days: Vec<String> = found.iter().map(|activity| activity.held_on().to_owned()).collect();
        days.sort();
        days
    };
    assert_eq!(find(whole.pairing()).await, ["2023-01-02"]);
    assert_eq!(find(&uscc(1)).await, ["2023-01-02"]);
    // One receives in the one, and sends in the other.
    assert_eq!(find(&uscc(2)).await, ["2023-01-02", "2023-01-03"]);
}
