"""Rows are final in the order of their ids, whichever transaction ends first."""

from scenarios.database.settled import MAX_WAIT_SECONDS, Mark, SettledIds


class Database:
    """What a query would find: the highest visible id, and which transactions run."""

    def __init__(self) -> None:
        self.mark = Mark(0, 100, 100)
        self.now = 0.0

    def settled(self) -> SettledIds:
        return SettledIds(lambda: self.mark, lambda: self.now)


def test_everything_visible_is_final_while_no_transaction_runs() -> None:
    database = Database()
    settled = database.settled()
    assert settled.find() == (0, 0)
    database.mark = Mark(7, 100, 100)
    assert settled.find() == (7, 7)


def test_an_id_is_final_when_every_transaction_that_ran_beside_it_has_ended() -> None:
    database = Database()
    database.mark = Mark(7, 100, 103)
    settled = database.settled()
    assert settled.find() == (0, 7)
    database.mark = Mark(9, 102, 105)
    assert settled.find() == (0, 9)
    # What ran when 7 was seen has ended; 9 has not been seen long enough.
    database.mark = Mark(9, 103, 106)
    assert settled.find() == (7, 9)
    database.mark = Mark(9, 106, 106)
    assert settled.find() == (9, 9)


def test_a_transaction_that_never_ends_delays_readers_but_does_not_stop_them() -> None:
    database = Database()
    database.mark = Mark(7, 100, 103)
    settled = database.settled()
    assert settled.find() == (0, 7)
    database.now = MAX_WAIT_SECONDS
    assert settled.find() == (7, 7)


def test_a_restored_database_whose_ids_are_lower_is_followed_from_there() -> None:
    database = Database()
    database.mark = Mark(70, 100, 100)
    settled = database.settled()
    assert settled.find() == (70, 70)
    database.mark = Mark(7, 100, 100)
    assert settled.find() == (7, 7)
