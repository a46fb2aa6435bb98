//! Exercise 6: what is not there raises no alarm by itself.

use monitoring_checks::{Backups, Rehearsal, State, Target, World};
use rand::{Rng, RngExt as _};

const INSTANCES: [&str; 3] = ["shop-1:8080", "shop-2:8080", "shop-3:8080"];

/// The job and the instance of what else is scraped.
const OTHERS: [(&str, &str); 3] = [
    ("till", "till-1:9000"),
    ("shop-staging", "staging-1:8080"),
    ("prometheus", "localhost:9090"),
];

/// Where something begins: it is not the same minute in every run.
fn a_moment(rng: &mut impl Rng) -> usize {
    rng.random_range(20..40)
}

/// A machine that makes a backup every hour, the first one soon.
fn hourly(rng: &mut impl Rng) -> Backups {
    let phase = rng.random_range(3..15);
    Backups::new("db-1:9100", move |minute| {
        minute == 0 || minute % 60 == phase
    })
}

/// Three instances of the shop beside other jobs that are well, and a backup every hour.
fn world(rng: &mut impl Rng, shop: impl Fn(usize, usize) -> State) -> World {
    world_with(rng, shop, |_, _| State::Up)
}

/// The same; an instance is known by its number from 1 on, another job by its name.
fn world_with(
    rng: &mut impl Rng,
    shop: impl Fn(usize, usize) -> State,
    others: impl Fn(&str, usize) -> State,
) -> World {
    let instances = INSTANCES.into_iter().enumerate();
    let mut targets: Vec<Target> = instances
        .map(|(number, instance)| Target::new("shop", instance, |minute| shop(number + 1, minute)))
        .collect();
    for (job, instance) in OTHERS {
        targets.push(Target::new(job, instance, |minute| others(job, minute)));
    }
    let backups = vec![hourly(rng)];
    World {
        targets,
        backups,
        since: 0,
    }
}

/// Whoever hears nothing cannot tell a good night from a dead Prometheus. So one alert always fires,
/// and somebody outside counts how long ago it came in.
#[labkit::test]
async fn the_watchdog_fires_whatever_happens(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let ends = |minute: usize| {
        if minute < begins {
            State::Up
        } else {
            State::Gone
        }
    };
    let world = world_with(
        &mut rehearsal.rng,
        |_, minute| ends(minute),
        |_, minute| ends(minute),
    );
    let story = format!("nothing is known of anything from minute {begins} on");
    rehearsal
        .expect_alerts(&story, &world, &["Watchdog", "ShopGone"])
        .await;
}

/// The other two carry on, and it is repaired in the morning: by somebody who wants to know which
/// of them it was.
#[labkit::test]
async fn an_instance_that_stays_down_is_told_by_its_name(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let (bad, ends) = (rehearsal.rng.random_range(1..=3), begins + 31);
    let world = world(&mut rehearsal.rng, |number, minute| {
        let down = number == bad && (begins..ends).contains(&minute);
        if down { State::Down } else { State::Up }
    });
    let story = format!(
        "the scrapes of shop-{bad} fail from minute {begins} to {}, those of two others do not",
        ends - 1
    );
    rehearsal
        .expect_alerts(&story, &world, &["InstanceDown", "ShopGone"])
        .await;
}

/// A deployment restarts each instance, one after the other. Nobody is told of what is over when
/// they look.
#[labkit::test]
async fn an_instance_that_stumbles_is_not_down(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let bad = begins + 80;
    let world = world(&mut rehearsal.rng, |number, minute| {
        // Four minutes of five, for an hour: more than half of the time, and never for long.
        let stumbles = number == 2 && (begins..begins + 60).contains(&minute);
        let down = (stumbles && (minute - begins) % 5 != 4) || (number == 3 && minute >= bad);
        if down { State::Down } else { State::Up }
    });
    let story = format!(
        "the scrapes of shop-2 fail for four minutes of each five from minute {begins} to {}, and \
         those of shop-3 all the time from minute {bad} on",
        begins + 59
    );
    rehearsal
        .expect_alerts(&story, &world, &["InstanceDown", "ShopGone"])
        .await;
}

/// Nobody is served any more: this is what somebody is woken for, once, and not three times.
#[labkit::test]
async fn a_shop_of_which_no_instance_answers_is_gone(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let ends = begins + 40;
    let world = world(&mut rehearsal.rng, |number, minute| {
        // One after the other.
        let down = (begins + number..ends).contains(&minute);
        if down { State::Down } else { State::Up }
    });
    let story = format!(
        "the scrapes of the three instances fail, one after the other, from minute {} on, and are \
         well again from minute {ends} on",
        begins + 1
    );
    rehearsal
        .expect_alerts(&story, &world, &["InstanceDown", "ShopGone"])
        .await;
}

/// Somebody has renamed a label in the cluster, and Prometheus finds no instance of the shop any
/// more. There is no series that says so: `up` is not 0, it is not there.
#[labkit::test]
async fn a_shop_that_nobody_knows_of_any_more_is_gone(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let ends = begins + 50;
    let world = world(&mut rehearsal.rng, |_, minute| {
        if (begins..ends).contains(&minute) {
            State::Gone
        } else {
            State::Up
        }
    });
    let story = format!(
        "Prometheus knows of no instance of the shop from minute {begins} to {}",
        ends - 1
    );
    rehearsal.expect_alerts(&story, &world, &["ShopGone"]).await;
}

/// What does not answer is taken off the list some time later. For the customers that is one
/// outage, and it has not begun anew.
#[labkit::test]
async fn down_and_then_forgotten_is_one_outage(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let again = begins + 60;
    let world = world(&mut rehearsal.rng, |_, minute| match minute {
        _ if minute < begins => State::Up,
        _ if minute < begins + 2 => State::Down,
        _ if minute < again => State::Gone,
        _ if minute < again + 2 => State::Down,
        _ => State::Up,
    });
    let story = format!(
        "all scrapes of the shop fail from minute {begins} on, Prometheus knows of no instance from \
         minute {} on and of all three from minute {again} on, and their scrapes are well again from \
         minute {} on",
        begins + 2,
        again + 2
    );
    rehearsal.expect_alerts(&story, &world, &["ShopGone"]).await;
}

/// An instance that is not needed any more is taken away, and nothing is wrong.
#[labkit::test]
async fn an_instance_that_was_taken_away_is_missed_by_nobody(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let taken = rehearsal.rng.random_range(1..=3);
    let down = if taken == 2 { 3 } else { 2 };
    let later = begins + 60;
    let world = world(&mut rehearsal.rng, |number, minute| match number {
        _ if number == taken && minute >= begins => State::Gone,
        _ if number == down && minute >= later => State::Down,
        _ => State::Up,
    });
    let story = format!(
        "shop-{taken} is taken away in minute {begins}, and the scrapes of shop-{down} fail from \
         minute {later} on"
    );
    rehearsal
        .expect_alerts(&story, &world, &["InstanceDown", "ShopGone"])
        .await;
}

/// The till belongs to somebody else, who has alerts of their own.
#[labkit::test]
async fn what_becomes_of_another_job_is_no_news_of_the_shop(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let later = begins + 60;
    let down = |down: bool| if down { State::Down } else { State::Up };
    let world = world_with(
        &mut rehearsal.rng,
        |number, minute| down(number == 1 && minute >= later),
        |job, minute| down(job == "till" && minute >= begins),
    );
    let story = format!(
        "the scrapes of the till fail from minute {begins} on, and those of shop-1 from minute \
         {later} on"
    );
    rehearsal
        .expect_alerts(&story, &world, &["InstanceDown", "ShopGone"])
        .await;
}

/// A job that fails tells of its failures for as long as it runs. One that is never started tells
/// of none: only the last success grows old, whatever the reason.
#[labkit::test]
async fn a_backup_that_is_overdue_is_told(mut rehearsal: Rehearsal) {
    let mut world = world(&mut rehearsal.rng, |_, _| State::Up);
    let phase = rehearsal.rng.random_range(3..15);
    let last = 60 + phase;
    // The next one is late by more than an hour.
    world.backups = vec![Backups::new("db-1:9100", |minute| {
        minute == 0 || (minute % 60 == phase && minute <= last) || minute == last + 130
    })];
    let story = format!(
        "there is a backup in minutes {phase} and {last}, and the next one in minute {}",
        last + 130
    );
    rehearsal
        .expect_alerts(&story, &world, &["BackupOverdue"])
        .await;
}

/// The machine that made them is gone, and with it the only number that would have grown old.
#[labkit::test]
async fn a_backup_of_which_nothing_is_known_is_overdue(mut rehearsal: Rehearsal) {
    let mut world = world(&mut rehearsal.rng, |_, _| State::Up);
    let silent = 80 + a_moment(&mut rehearsal.rng);
    world.backups = vec![hourly(&mut rehearsal.rng).silent_from(silent)];
    let story = format!(
        "there is a backup every hour, and nothing is known of any from minute {silent} on"
    );
    rehearsal
        .expect_alerts(&story, &world, &["BackupOverdue"])
        .await;
}

/// First the backups fail, and then the machine is given up. Somebody is on it already, and is not
/// to believe meanwhile that it is mended.
#[labkit::test]
async fn too_old_and_then_unknown_is_one_delay(mut rehearsal: Rehearsal) {
    let mut world = world(&mut rehearsal.rng, |_, _| State::Up);
    let last = rehearsal.rng.random_range(3..15);
    let silent = last + 130;
    let backups = Backups::new("db-1:9100", |minute| minute == 0 || minute == last);
    world.backups = vec![backups.silent_from(silent)];
    let story = format!(
        "there is a backup in minute {last} and none after it, and nothing is known of any from \
         minute {silent} on"
    );
    rehearsal
        .expect_alerts(&story, &world, &["BackupOverdue"])
        .await;
}

/// The database is new, and nobody has thought of it yet.
#[labkit::test]
async fn a_backup_that_was_never_made_is_overdue(mut rehearsal: Rehearsal) {
    let mut world = world(&mut rehearsal.rng, |_, _| State::Up);
    world.backups = Vec::new();
    world.since = 100;
    let story = "nobody tells of any backup";
    rehearsal
        .expect_alerts(story, &world, &["BackupOverdue"])
        .await;
}

/// There is one database, and it is enough that one machine has saved it.
#[labkit::test]
async fn a_machine_that_takes_over_the_backups_is_as_good(mut rehearsal: Rehearsal) {
    let mut world = world(&mut rehearsal.rng, |_, _| State::Up);
    let phase = rehearsal.rng.random_range(3..15);
    let hourly = move |minute: usize| minute % 60 == phase;
    world.backups = vec![
        Backups::new("db-1:9100", |minute| minute == 0 || minute == phase),
        Backups::new("db-2:9100", |minute| {
            hourly(minute) && (60..140).contains(&minute)
        }),
    ];
    let story = format!(
        "db-1 makes a backup in minute {phase}, db-2 in minutes {} and {}, and nobody makes any \
         after that",
        phase + 60,
        phase + 120
    );
    rehearsal
        .expect_alerts(&story, &world, &["BackupOverdue"])
        .await;
}

/// What fires when nothing is wrong is not read when something is.
#[labkit::test]
async fn in_an_ordinary_night_nothing_else_fires(mut rehearsal: Rehearsal) {
    let world = world(&mut rehearsal.rng, |_, _| State::Up);
    let story = "all is well, and there is a backup every hour";
    rehearsal.expect_no_other_alert(story, &world).await;
}
