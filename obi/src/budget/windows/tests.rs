//! Windows of processes that spend. In: readings; out: what is shut and opened, and when.

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn place(ino: u64, pid: Option<Pid>) -> Place {
    let file = FileId {
        dev: 1,
        ino,
        size: 1,
        mtime: (0, 0),
    };
    (file, pid)
}

/// Does what was decided, at once.
fn carry_out(windows: &mut Windows, users: &Users, changes: &[Change], now: Nanos) {
    for change in changes {
        match change {
            Change::Shut(place) => {
                windows.moves(*place, users);
                tell(windows, users, now);
                windows.shut(*place, users);
            }
            Change::Open(place) => windows.open(place),
        }
        tell(windows, users, now);
    }
}

fn tell(windows: &mut Windows, users: &Users, now: Nanos) {
    for (pid, window) in windows.news(users) {
        windows.told(pid, window, now);
    }
}

/// All of it by hooks on each message.
fn look(
    windows: &mut Windows,
    times: (Nanos, u64, u64),
    users: &Users,
    mut spent: impl FnMut(Pid) -> u64,
) -> Vec<Change> {
    windows.look(times, users, |pid| Cost {
        stays: 0,
        each_message: spent(pid),
    })
}

#[test]
fn a_busy_process_gets_windows_at_full_periods_and_stays_within_its_budget() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let one = place(1, None);
    let users = Users::from([(one, vec![7])]);
    let mut spent = 0;
    let mut opened = Vec::new();
    let mut now = 0;
    // The wall clock shows a third of a period more.
    let wall = |now: u64| now + PERIOD / 3;
    while now < 120 * SECOND {
        if !windows.is_shut(&one) {
            // Half a core goes into hooks while they are there.
            spent += 5 * MS;
        }
        let changes = look(&mut windows, (now, wall(now), 0), &users, |_| spent);
        carry_out(&mut windows, &users, &changes, now);
        if changes.contains(&Change::Open(one)) {
            opened.push(now);
        }
        let earned = 5 * MS + now / 200;
        assert!(spent <= earned + 5 * MS, "{spent} at {now}");
        now += 10 * MS;
    }
    assert_eq!(opened.len(), 12, "{opened:?}");
    for at in &opened {
        assert!(wall(*at) % PERIOD < 10 * MS, "{at} is no beginning");
    }
    // 50 ms of cost at half a core, each 10 s.
    let (_, share) = windows.shares(now).next().unwrap();
    assert!((0.005..=0.011).contains(&share), "{share}");
    assert!(spent > 450 * MS, "what was earned is used: {spent}");
}

#[test]
fn a_quiet_process_is_never_sampled() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let users = Users::from([(place(1, None), vec![7])]);
    for n in 0..1000 {
        let now = n * 100 * MS;
        let changes = look(&mut windows, (now, now, 0), &users, |_| n * 400_000);
        assert_eq!(changes, [], "0.4 % is within 0.5 %");
    }
    assert_eq!(windows.shares(100 * SECOND).next(), Some((7, 1.0)));
    assert!(!windows.any_shut());
}

#[test]
fn the_tightest_user_of_a_file_decides() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let (shared, own) = (place(1, None), place(2, Some(9)));
    let users = Users::from([(shared, vec![7, 8]), (own, vec![9])]);
    look(&mut windows, (0, 0, 0), &users, |_| 0);
    let spent = |pid| if pid == 8 { 100 * MS } else { 0 };
    let changes = look(&mut windows, (SECOND, SECOND, 0), &users, spent);
    assert_eq!(changes, [Change::Shut(shared)]);
    windows.moves(shared, &users);
    assert_eq!(
        windows.news(&users),
        [(7, Window::Changing), (8, Window::Changing)]
    );
    tell(&mut windows, &users, SECOND);
    let again = look(&mut windows, (SECOND, SECOND, 0), &users, spent);
    assert_eq!(again, [], "it is on its way");
    windows.shut(shared, &users);
    assert_eq!(windows.news(&users), [(7, Window::Shut), (8, Window::Shut)]);
    tell(&mut windows, &users, SECOND);
    // 95 - 5 ms overdrawn, and 25 ms to go: 23 s.
    for second in 2..24 {
        let now = second * SECOND;
        assert_eq!(look(&mut windows, (now, now, 0), &users, spent), []);
    }
    let at = 30 * SECOND;
    let changes = look(&mut windows, (at, at, 0), &users, spent);
    assert_eq!(changes, [Change::Open(shared)]);
    // The busy one is gone: its file is as good as new.
    let users = Users::from([(shared, vec![7])]);
    look(&mut windows, (at, at, 0), &users, spent);
    assert_eq!(
        windows.news(&users),
        [(8, Window::Open)],
        "it uses the file no more"
    );
    tell(&mut windows, &users, at);
    look(&mut windows, (at, at, 0), &users, spent);
    assert!(windows.accounts.len() == 1 && windows.is_shut(&shared));
}

#[test]
fn a_newcomer_to_a_shut_place_is_told_at_once() {
    let mut windows = Windows::new(Budget::percent(0.0));
    let one = place(1, None);
    assert!(!windows.begins(one), "a budget of nothing attaches nothing");
    let users = Users::from([(one, vec![7])]);
    look(&mut windows, (0, 0, 0), &users, |_| 0);
    assert_eq!(windows.news(&users), [(7, Window::Shut)]);
    tell(&mut windows, &users, 0);
    assert_eq!(windows.news(&users), []);
    assert_eq!(
        look(&mut windows, (20 * SECOND, 20 * SECOND, 0), &users, |_| 0),
        []
    );
    assert_eq!(windows.shares(20 * SECOND).next(), Some((7, 0.0)));
    let mut unlimited = Windows::new(Budget::percent(100.0));
    assert!(unlimited.begins(one));
    let changes = look(&mut unlimited, (SECOND, SECOND, 0), &users, |_| u64::MAX);
    assert_eq!(changes, []);
}

#[test]
fn looks_are_rare_until_they_matter() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let users = Users::from([(place(1, None), vec![7])]);
    let longest = Duration::from_millis(100);
    look(&mut windows, (0, 0, 0), &users, |_| 0);
    assert!(windows.is_due(LOW, LOW, 0), "a stranger is watched closely");
    assert_eq!(windows.pause(0, longest), Duration::from_nanos(LOW));
    look(&mut windows, (5 * SECOND, 5 * SECOND, 0), &users, |_| 0);
    let soon = 5 * SECOND + BUSY;
    assert!(!windows.is_due(soon, soon, MANY - 1));
    assert!(windows.is_due(soon, soon, MANY));
    assert!(windows.is_due(6 * SECOND, 6 * SECOND, 0));
    assert_eq!(windows.pause(0, longest), Duration::from_nanos(BUSY));
    let changes = look(&mut windows, (6 * SECOND, 6 * SECOND, 0), &users, |_| {
        SECOND
    });
    carry_out(&mut windows, &users, &changes, 6 * SECOND);
    assert!(!windows.is_due(6 * SECOND + BUSY, 6 * SECOND + BUSY, MANY));
    assert!(windows.is_due(6 * SECOND + BUSY, PERIOD, 0), "a new period");
    let wall = PERIOD - 3 * MS;
    assert_eq!(windows.pause(wall, longest), Duration::from_millis(3));
    assert_eq!(windows.pause(5 * SECOND, longest), longest);
}

#[test]
fn the_share_is_that_of_the_last_minute() {
    let account = |changes: &[(Nanos, bool)], began| Account {
        bucket: Bucket::new(Budget::percent(0.5), 0, Cost::default()),
        told: match changes.last() {
            Some((_, false)) => Window::Shut,
            _ => Window::Open,
        },
        changes: changes.iter().copied().collect(),
        began,
    };
    let now = 100 * SECOND;
    assert_eq!(account(&[], 0).share(now), 1.0);
    let half = account(&[(50 * SECOND, false), (80 * SECOND, true)], 0);
    assert_eq!(half.share(now), 0.5, "10 of 40 to 50, 20 of 80 to 100");
    assert_eq!(account(&[(10 * SECOND, false)], 0).share(now), 0.0);
    assert_eq!(
        account(&[(90 * SECOND, false)], 80 * SECOND).share(now),
        0.5
    );
    assert_eq!(account(&[(90 * SECOND, true)], 80 * SECOND).share(now), 0.5);
}

#[test]
fn a_newcomer_keeps_no_hooks_from_those_that_stay() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let shared = place(1, None);
    let users = Users::from([(shared, vec![7])]);
    look(&mut windows, (0, 0, 0), &users, |_| 0);
    let changes = look(&mut windows, (SECOND, SECOND, 0), &users, |_| 20 * MS);
    carry_out(&mut windows, &users, &changes, SECOND);
    assert!(windows.is_shut(&shared));
    // 8 came half a second before the next period, and has cost nothing yet.
    let users = Users::from([(shared, vec![7, 8])]);
    let spent = |pid| if pid == 7 { 20 * MS } else { 0 };
    let before = 2 * PERIOD - SECOND / 2;
    look(&mut windows, (before, PERIOD + SECOND, 0), &users, spent);
    let changes = look(
        &mut windows,
        (before + SECOND, 2 * PERIOD, 0),
        &users,
        spent,
    );
    assert_eq!(changes, [Change::Open(shared)]);
}

/// 7 was there before; 8 came at 20 s and has cost so much after so many tenths of a second.
fn beside_a_newcomer(spent: impl Fn(u64) -> u64) -> (Vec<(u64, Change)>, f64) {
    let mut windows = Windows::new(Budget::percent(0.5));
    let shared = place(1, None);
    let mut all = Vec::new();
    for tenth in 0..400 {
        let now = tenth * SECOND / 10;
        let users = match tenth {
            // It lives for a second.
            200..210 => Users::from([(shared, vec![7, 8])]),
            _ => Users::from([(shared, vec![7])]),
        };
        let cost = |pid| match pid {
            7 => tenth * 100_000,
            _ => spent(tenth.saturating_sub(200)),
        };
        let changes = look(&mut windows, (now, now, 0), &users, cost);
        carry_out(&mut windows, &users, &changes, now);
        if !users[&shared].contains(&8) {
            windows.forget(8);
        }
        all.extend(changes.into_iter().map(|change| (tenth, change)));
    }
    let share = windows.shares(40 * SECOND).find(|(pid, _)| *pid == 7);
    (all, share.unwrap().1)
}

#[test]
fn a_short_process_takes_no_window_from_the_others() {
    // 4 ms each tenth of a second: above its tenth of an account at once, 36 ms in all.
    let (changes, share) = beside_a_newcomer(|tenth| tenth * 4 * MS);
    assert_eq!((changes, share), (vec![], 1.0));
}

#[test]
fn newcomers_together_have_one_account_a_period() {
    // 12 ms each tenth: 50 ms are reached with the fifth reading.
    let (changes, share) = beside_a_newcomer(|tenth| tenth * 12 * MS);
    let shared = place(1, None);
    let expected = [(205, Change::Shut(shared)), (300, Change::Open(shared))];
    assert_eq!(changes, expected);
    assert!((0.7..0.8).contains(&share), "9.5 of 40 s: {share}");
}

#[test]
fn a_newcomer_by_itself_has_its_tenth() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let users = Users::from([(place(1, None), vec![8])]);
    look(&mut windows, (SECOND, SECOND, 0), &users, |_| 0);
    let soon = SECOND + 10 * MS;
    let changes = look(&mut windows, (soon, soon, 0), &users, |_| 6 * MS);
    assert_eq!(changes, [Change::Shut(place(1, None))]);
}

#[test]
fn who_stays_is_no_newcomer() {
    let mut windows = Windows::new(Budget::percent(0.5));
    let shared = place(1, None);
    let users = |pids: &[Pid]| Users::from([(shared, pids.to_vec())]);
    look(&mut windows, (0, 0, 0), &users(&[7]), |_| 0);
    let both = users(&[7, 8]);
    let at = |second: u64| (second * SECOND, second * SECOND, 0);
    let spent = |pid| if pid == 8 { 40 * MS } else { 0 };
    look(&mut windows, at(6), &both, |_| 0);
    assert_eq!(look(&mut windows, at(7), &both, spent), []);
    // It still owes 10 ms.
    assert_eq!(look(&mut windows, at(10), &both, spent), []);
    let owing = |pid| if pid == 8 { 60 * MS } else { 0 };
    assert_eq!(
        look(&mut windows, at(11), &both, owing),
        [Change::Shut(shared)]
    );
}

#[test]
fn who_runs_already_knows_of_hooks_before_they_come() {
    let one = place(1, None);
    let users = Users::from([(one, vec![7, 8])]);
    for (budget, before, after) in [
        (0.5, Window::Changing, Window::Open),
        (100.0, Window::Changing, Window::Open),
        (0.0, Window::Shut, Window::Shut),
    ] {
        let mut windows = Windows::new(Budget::percent(budget));
        windows.comes(one);
        assert_eq!(look(&mut windows, (0, 0, 0), &users, |_| 0), []);
        assert_eq!(windows.news(&users), [(7, before), (8, before)]);
        tell(&mut windows, &users, 0);
        if before != after {
            windows.open(&one);
            assert_eq!(windows.news(&users), [(7, after), (8, after)]);
            tell(&mut windows, &users, 0);
        }
        assert_eq!(windows.news(&users), []);
    }
}

#[test]
fn hooks_that_stayed_away_because_nobody_could_be_told_come_with_the_next_period() {
    let mut windows = Windows::new(Budget::percent(100.0));
    let one = place(1, None);
    let users = Users::from([(one, vec![7])]);
    windows.comes(one);
    look(&mut windows, (0, 0, 0), &users, |_| 0);
    windows.shut(one, &users);
    assert_eq!(look(&mut windows, (SECOND, SECOND, 0), &users, |_| 0), []);
    let changes = look(&mut windows, (PERIOD, PERIOD, 0), &users, |_| 0);
    assert_eq!(changes, [Change::Open(one)]);
}
