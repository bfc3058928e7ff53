"""Rows are final in the order of their ids, whichever transaction ends first."""

from scenarios.database.settled import MAX_WAIT_SECONDS, Mark, SettledIds


class Database:
    """Its rows, and which transactions have not ended."""

    def __init__(self, newest: int = 0) -> None:
        self.newest = newest
        self.running: set[int] = set()
        self.next_transaction = 100
        self.now = 0.0
        self.queries = 0

    def begin(self) -> int:
        self.running.add(self.next_transaction)
        self.next_transaction += 1
        return self.next_transaction - 1

    def read(self) -> Mark:
        self.queries += 1
        return Mark(self.newest, min(self.running, default=self.next_transaction))

    def take_transaction(self) -> int:
        self.queries += 1
        self.next_transaction += 1
        return self.next_transaction - 1

    def settled(self) -> SettledIds:
        return SettledIds(self, lambda: self.now)


def test_everything_visible_is_final_while_no_transaction_runs() -> None:
    database = Database()
    settled = database.settled()
    assert settled.find() == (0, 0)
    database.newest = 7
    assert settled.find() == (7, 7)


def test_one_query_is_enough_while_nothing_is_new() -> None:
    database = Database(newest=7)
    settled = database.settled()
    settled.find()
    database.queries = 0
    assert settled.find() == (7, 7)
    assert database.queries == 1


def test_an_id_is_final_when_every_transaction_that_wrote_beside_it_has_ended() -> None:
    database = Database(newest=7)
    settled = database.settled()
    beside = database.begin()
    assert settled.find() == (0, 7)
    database.newest = 9
    later = database.begin()
    assert settled.find() == (0, 9)
    # What ran when 7 was seen has ended; 9 has not been seen beside `later` alone.
    database.running.remove(beside)
    assert settled.find() == (7, 9)
    database.running.remove(later)
    assert settled.find() == (9, 9)


def test_a_transaction_that_never_ends_delays_readers_but_does_not_stop_them() -> None:
    database = Database(newest=7)
    database.begin()
    settled = database.settled()
    assert settled.find() == (0, 7)
    database.now = MAX_WAIT_SECONDS
    assert settled.find() == (7, 7)


def test_a_restored_database_whose_ids_are_lower_is_followed_from_there() -> None:
    database = Database(newest=70)
    settled = database.settled()
    assert settled.find() == (70, 70)
    database.newest = 7
    assert settled.find() == (7, 7)
