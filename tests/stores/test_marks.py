"""What a poll reads again: every transaction that was open and is gone, from its mark, once."""

from __future__ import annotations

from exporter.stores.marks import FIRST_ID_STRETCH, FIRST_TIME_STRETCH, Session, plan_ids, plan_times

WINDOW = 30.0


def writer(start: float | None, xid: str | None = None, pid: str = "1") -> Session:
    return Session(pid, None if start is None else start - 100.0, start, xid)


def test_a_steady_poll_reads_from_the_last_one_less_the_window() -> None:
    first = plan_times(None, 1000.0, [], WINDOW)
    assert (first.first, first.low, first.high) == (True, 970.0, 1000.0)
    second = plan_times(first.upto(1000.0), 1015.0, [], WINDOW)
    assert (second.first, second.low, second.high) == (False, 970.0, 1015.0)


def test_a_long_transaction_costs_nothing_until_it_ends_then_one_reading() -> None:
    state = plan_times(None, 1000.0, [writer(100.0)], WINDOW).upto(1000.0)
    assert state.floor == 70.0  # keys are kept back to where it can still make rows appear
    for now in (1015.0, 1030.0):
        reading = plan_times(state, now, [writer(100.0)], WINDOW)
        assert reading.low == state.upto - WINDOW
        state = reading.upto(now)
    ended = plan_times(state, 1045.0, [], WINDOW)
    assert ended.low == 70.0
    state = ended.upto(1045.0)
    assert (state.floor, plan_times(state, 1060.0, [], WINDOW).low) == (1015.0, 1015.0)


def test_a_prepared_transaction_inherits_the_mark_of_its_session() -> None:
    state = plan_times(None, 1000.0, [writer(900.0, xid="7")], WINDOW).upto(1000.0)
    prepared = plan_times(state, 1015.0, [Session(None, None, None, "7")], WINDOW)
    state = prepared.upto(1015.0)
    assert state.open[0].mark == 870.0
    assert plan_times(state, 1030.0, [], WINDOW).low == 870.0


def test_a_prepared_transaction_inherits_no_other_mark_than_that_of_its_session() -> None:
    older = writer(500.0, xid="3", pid="2")
    state = plan_times(None, 1000.0, [older, writer(900.0, xid="7")], WINDOW).upto(1000.0)
    found = plan_times(state, 1015.0, [older, Session(None, None, None, "7")], WINDOW)
    assert {x.xid: (x.mark, x.since) for x in found.open} == {"3": (470.0, 500.0), "7": (870.0, 900.0)}
    assert found.doubt is None, "the clock went on"


def test_a_prepared_transaction_of_unknown_origin_gets_the_lowest_mark() -> None:
    state = plan_times(None, 1000.0, [writer(900.0)], WINDOW).upto(1000.0)  # no xid yet: it cannot be linked
    prepared = plan_times(state, 1015.0, [Session(None, None, None, "7")], WINDOW)
    assert prepared.open[0].mark == 870.0


def test_without_rights_a_transaction_is_marked_by_the_poll_before_it_was_seen() -> None:
    state = plan_times(None, 1000.0, [], WINDOW).upto(1000.0)
    seen = plan_times(state, 1015.0, [writer(None, xid="7")], WINDOW)
    assert seen.open[0].mark == 970.0
    assert plan_times(seen.upto(1015.0), 1030.0, [], WINDOW).low == 970.0


def test_without_rights_the_first_poll_takes_what_is_open_to_have_been_open_for_a_while() -> None:
    first = plan_times(None, 1000.0, [writer(None, xid="7")], WINDOW)
    assert first.low == first.open[0].mark == 1000.0 - FIRST_TIME_STRETCH
    assert plan_times(first.upto(1000.0), 1015.0, [], WINDOW).low == 1000.0 - FIRST_TIME_STRETCH


def test_what_was_prepared_before_the_first_poll_is_looked_for_where_it_was_prepared() -> None:
    prepared = Session(None, None, 400.0, "7")
    first = plan_times(None, 1000.0, [prepared], WINDOW)
    assert first.low == first.open[0].mark == 400.0 - FIRST_TIME_STRETCH
    state = plan_times(first.upto(1000.0), 1015.0, [prepared], WINDOW).upto(1015.0)
    assert plan_times(state, 1030.0, [], WINDOW).low == 400.0 - FIRST_TIME_STRETCH


def test_a_clock_that_is_set_back_leaves_no_gap_and_reads_nothing_forgotten() -> None:
    state = plan_times(None, 1000.0, [], WINDOW).upto(1000.0)
    back = plan_times(state, 980.0, [], WINDOW)
    assert (back.low, back.high) == (970.0, 980.0)  # not below the floor: those keys are gone
    assert plan_times(back.upto(980.0), 995.0, [], WINDOW).low == 970.0


def test_a_slice_moves_the_cursor_only_as_far_as_it_read() -> None:
    state = plan_times(None, 1000.0, [], WINDOW).upto(1000.0)
    reading = plan_times(state, 5000.0, [writer(4000.0)], WINDOW)
    part = reading.upto(2000.0)
    # What may still appear below 2000 now, at 5000, is a transaction's that is open since before 2030: none is.
    assert (part.upto, part.floor) == (2000.0, 2000.0)
    assert reading.upto(5000.0).floor == 3970.0


def test_ids_are_read_again_from_the_poll_before_the_last_at_least() -> None:
    first = plan_ids(None, 1000.0, 50_000, [], WINDOW)
    assert first.low == 50_000 - FIRST_ID_STRETCH
    state = first.upto(50_000)
    for now, greatest, low in ((1015.0, 50_100, 40_000), (1030.0, 50_200, 40_000), (1045.0, 50_300, 50_000)):
        reading = plan_ids(state, now, greatest, [], WINDOW)
        assert (reading.low, reading.high) == (low, greatest)
        state = reading.upto(greatest)


def test_an_open_transaction_holds_an_id_back_until_it_ends() -> None:
    state = plan_ids(None, 1000.0, 50_000, [], 0.0).upto(50_000)
    state = plan_ids(state, 1015.0, 50_100, [writer(None, xid="9")], 0.0).upto(50_100)
    mark = state.open[0].mark
    for now in range(1030, 1200, 15):
        state = plan_ids(state, float(now), 60_000 + now, [writer(None, xid="9")], 0.0).upto(60_000 + now)
    assert state.floor <= mark
    assert plan_ids(state, 1300.0, 70_000, [], 0.0).low == mark


def test_pruned_ids_do_not_move_the_position_back() -> None:
    state = plan_ids(None, 1000.0, 500, [], WINDOW).upto(500)
    assert plan_ids(state, 1015.0, 0, [], WINDOW).high == 500


def test_ids_begin_again_where_they_rise_to_what_nobody_can_still_bring_and_not_above_it() -> None:
    state = plan_ids(None, 1000.0, 500, [], WINDOW).upto(500)
    for now, greatest in ((1015.0, 500), (1030.0, 3)):  # all but the lowest were pruned
        reading = plan_ids(state, now, greatest, [], WINDOW)
        assert not reading.anew
        state = reading.upto(500)
    for greatest, anew in ((3, False), (4, True), (500, True), (501, False)):
        reading = plan_ids(state, 1045.0, greatest, [], WINDOW)
        assert reading.anew == anew, greatest
    again = plan_ids(state, 1045.0, 500, [], WINDOW)
    assert (again.low, again.high) == (3, 500), "those that were there already are not counted again"
