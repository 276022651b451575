"""``bench``: the table is what was measured, the senders speak DICOM, and what lacks is named."""

import contextlib
import json
import math
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from scp.cli import main
from scp.cli.bench import (
    ceiling,
    engines,
    jobs,
    lockout,
    programs,
    query,
    retrieve,
    senders,
    servers,
    standing,
    store,
)
from scp.cli.bench.ground import Ground, ground
from scp.cli.bench.material import pixel_digests, small_instances, uid, voxels, write_series
from scp.cli.bench.measuring import (
    ADDED_MS,
    SECONDS,
    SPEED,
    TIME,
    Figure,
    Finding,
    NotMeasured,
    Outcome,
    Pair,
    ResultsDiffer,
    Row,
    Trial,
    alone,
    as_json,
    as_text,
    in_turn,
    run,
)
from scp.cli.bench.servers import Server, receiver
from scp.cli.bench.syncs import counted
from scp.cli.bench.wire import message_pdus
from scp.errors import PeerFailed


@pytest.fixture
def here(tmp_path: Path) -> Ground:
    with ground(tmp_path) as made:
        yield made


def outcome(figure: Figure, *pairs: tuple[float, float], floor: float | None = 2, aim: float | None = 4):
    row = Row("a-b", "what", "b", figure, floor, aim)
    return Outcome(row, Finding(tuple(Pair(*pair) for pair in pairs)))


def test_measurements_alternate_and_the_first_pair_does_not_count():
    calls: list[object] = []
    costs = iter([9.0, 9.0, 1.0, 2.0, 1.0, 3.0])

    def measure(name: str) -> float:
        calls.append(name)
        return next(costs)

    pairs = in_turn(lambda: measure("ours"), lambda: measure("theirs"), 2, calls.append)
    assert calls == [0, "ours", "theirs", 1, "ours", "theirs", 2, "ours", "theirs"]
    assert pairs == (Pair(1.0, 2.0), Pair(1.0, 3.0))


def test_the_figure_is_the_median_of_the_pairs_and_not_the_ratio_of_medians():
    one = outcome(SPEED, (1, 4), (2, 4), (10, 100))
    assert one.figures == (4, 2, 10)
    assert one.value == 4  # medians of each side alone would say 4 / 2


@pytest.mark.parametrize(
    ("figure", "pair", "value"),
    [(SPEED, (2, 6), 3), (TIME, (2, 8), 0.25), (ADDED_MS, (0.012, 0.004), 8), (SECONDS, (0.5, 7), 0.5)],
)
def test_each_figure_says_what_its_name_says(figure, pair, value):
    assert outcome(figure, pair).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("figure", "pair", "verdict"),
    [
        (SPEED, (1, 4), "aim"),
        (SPEED, (1, 3.9), "floor"),
        (SPEED, (1, 1.9), "below floor"),
        (TIME, (4.1, 1), "below floor"),
        (TIME, (2, 1), "floor"),
        (TIME, (1, 1), "aim"),
    ],
)
def test_floor_and_aim_are_reached_from_the_side_that_is_better(figure, pair, verdict):
    bounds = (2, 4) if figure.more_is_better else (2, 1)
    assert outcome(figure, pair, floor=bounds[0], aim=bounds[1]).verdict == verdict


def test_a_row_without_a_floor_promises_nothing():
    assert outcome(SPEED, (1, 0.1), floor=None, aim=None).verdict == ""


def missing(_pairs: int) -> Finding:
    raise NotMeasured("nosuchserver is not installed")


def broken(_pairs: int) -> Finding:
    raise ResultsDiffer("7 of 9 pixels differ")


def test_what_lacks_or_fails_is_named_and_keeps_no_other_row_from_being_measured():
    rows = {"lacks": missing, "fails": broken, "works": lambda pairs: Finding((Pair(1, 4),) * pairs, "seen")}
    made = run([Trial(Row(name, name, "b", SPEED, 2, 4), work) for name, work in rows.items()], 3)
    assert [one.verdict for one in made] == ["skipped", "failed", "aim"]
    text = as_text(made)
    assert "lacks: nosuchserver is not installed" in text
    assert "fails: 7 of 9 pixels differ" in text
    assert "works: seen" in text
    (line,) = (line for line in text.splitlines() if line.startswith("works  "))
    assert line.split() == ["works", "works", "b", "4", "x", "as", "fast", "4", "..", "4", "2", "4", "aim"]


def test_json_holds_every_pair_so_that_anybody_can_count_again():
    (record,) = as_json([outcome(SPEED, (1, 4), (2, 4))])
    assert record["pairs"] == [{"ours": 1, "theirs": 4}, {"ours": 2, "theirs": 4}]
    assert (record["median"], record["floor"], record["aim"], record["verdict"]) == (3, 2, 4, "floor")
    (lone,) = as_json([Outcome(Row("a", "a", "-", SECONDS), Finding(alone(lambda: 1.0, 1)))])
    assert json.loads(json.dumps(lone, allow_nan=False))["pairs"] == [{"ours": 1.0, "theirs": None}]


def test_what_is_measured_alone_counts_after_one_turn():
    costs = iter([9.0, 1.0, 2.0])
    pairs = alone(lambda: next(costs), 2)
    assert [pair.ours for pair in pairs] == [1.0, 2.0]
    assert all(math.isnan(pair.theirs) for pair in pairs)


@pytest.fixture
def fake_rows(monkeypatch):
    """Two rows with known durations in place of those of ``bench retrieve``; one may be made to fail."""
    rows = {"fast": lambda pairs: Finding((Pair(1, 3),) * pairs), "lacks": missing}

    def trials(_ground: Ground) -> list[Trial]:
        return [Trial(Row(name, "what", "b", SPEED, 2, 4), work) for name, work in rows.items()]

    monkeypatch.setattr(retrieve, "trials", trials)
    return rows


def bench_retrieve(capsys, folder: Path, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "retrieve", "--folder", str(folder), *words])
    return (ended.value.code or 0, *capsys.readouterr())


def test_the_command_measures_the_rows_that_are_named_so_many_times(capsys, fake_rows, tmp_path):
    code, out, _ = bench_retrieve(capsys, tmp_path, "--rows", "fast", "--pairs", "2", "--json")
    (record,) = json.loads(out)
    assert (code, record["row"], record["pairs"]) == (0, "fast", [{"ours": 1, "theirs": 3}] * 2)


def test_a_row_that_is_not_there_is_a_usage_error_that_names_those_that_are(capsys, fake_rows, tmp_path):
    code, out, err = bench_retrieve(capsys, tmp_path, "--rows", "slow")
    assert (code, out) == (2, "")
    assert "fast" in err
    assert bench_retrieve(capsys, tmp_path, "--rows", "list") == (0, "fast\nlacks\n", "")


def test_a_row_on_request_is_measured_by_its_name_only(capsys, monkeypatch, tmp_path):
    measured = []
    rows = {"usual": False, "long": True}
    trials = [
        Trial(
            Row(name, "what", "b", SPEED), lambda _pairs, name=name: measured.append(name) or Finding(()), on
        )
        for name, on in rows.items()
    ]
    monkeypatch.setattr(retrieve, "trials", lambda _ground: trials)
    assert bench_retrieve(capsys, tmp_path, "--rows", "list")[1] == "usual\nlong\n"
    for words in ([], ["--rows", "long"]):
        bench_retrieve(capsys, tmp_path, *words, "--json")
    assert measured == ["usual", "long"]


def test_a_lack_is_no_failure_and_a_fault_is(capsys, fake_rows, tmp_path):
    assert bench_retrieve(capsys, tmp_path)[0] == 0
    fake_rows["lacks"] = broken
    code, out, err = bench_retrieve(capsys, tmp_path)
    assert code == 1
    assert "7 of 9 pixels differ" in out
    assert "lacks" in err


def test_nothing_is_left_on_the_disk(capsys, fake_rows, tmp_path):
    bench_retrieve(capsys, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_stay_until_all_rows_are_measured(capsys, monkeypatch, tmp_path):
    there = []

    def trials(ground: Ground) -> list[Trial]:
        def measure(_pairs: int) -> Finding:
            ground.on_disk("server").mkdir()
            there.append(len(list(ground.disk.iterdir())))
            return Finding((Pair(1, 1),))

        return [Trial(Row(name, name, "b", SPEED), measure) for name in ("first", "second")]

    monkeypatch.setattr(retrieve, "trials", trials)
    bench_retrieve(capsys, tmp_path)
    assert there == [1, 2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_impatient_person_leaves_nothing_on_the_disk_either(
    capsys, monkeypatch, fake_rows, tmp_path, number
):
    removed = shutil.rmtree

    def removed_under_protest(*words, **options):
        signal.raise_signal(signal.SIGINT)
        removed(*words, **options)

    monkeypatch.setattr(shutil, "rmtree", removed_under_protest)
    fake_rows["fast"] = lambda _pairs: signal.raise_signal(number)
    before = signal.getsignal(number)
    assert bench_retrieve(capsys, tmp_path)[0] != 0
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def test_every_row_has_a_name_of_its_own(here):
    made = [
        *store.trials(here),
        *standing.trials(here),
        *retrieve.trials(here),
        *query.trials(here),
        *engines.trials(),
        *jobs.trials(here),
    ]
    names = [trial.row.name for trial in made]
    assert len(names) == len(set(names))
    for row in (trial.row for trial in made if trial.row.floor is not None):
        assert row.figure.reaches(row.aim, row.floor), f"{row.name}: the aim is no better than the floor"


def test_a_program_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_words, **_options: None)
    with pytest.raises(NotMeasured, match="Orthanc is not installed"):
        servers.installed("Orthanc")
    monkeypatch.setitem(sys.modules, "vtkmodules.all", None)
    with pytest.raises(NotMeasured, match="vtk is not installed"):
        programs.vtk()


def test_every_turn_sends_instances_that_nobody_has(tmp_path):
    load = store.Load(tmp_path, slices=3, side=8, associations=2)
    load.renew(0)
    assert [len(part) for part in load.parts] == [2, 1]
    load.renew(1)
    assert len(load.sent) == 6
    assert len(list(tmp_path.iterdir())) == 3


def test_a_series_is_what_its_voxels_are(tmp_path):
    paths = write_series(tmp_path, 4, 8)
    assert np.array_equal([dcmread(path).pixel_array for path in paths], voxels(4, 8))
    assert set(pixel_digests(tmp_path)) == {dcmread(path).SOPInstanceUID for path in paths}


def test_a_receiver_that_lost_or_changed_pixels_is_found_out(tmp_path):
    load = store.Load(tmp_path / "sent", slices=3, side=8)
    load.renew(0)
    stored = tmp_path / "stored"
    shutil.copytree(load.folder, stored)
    server = Server("a", "", "A", 0, stored, 0)
    store.check_stored(server, load.sent)
    changed = dcmread(stored / "00002.dcm")
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(stored / "00002.dcm")
    with pytest.raises(ResultsDiffer, match="lacks 1 of 3"):
        store.check_stored(server, load.sent)


def test_a_message_is_cut_as_the_other_end_takes_it():
    made = message_pdus(b"c" * 10, b"d" * 25, maximum_pdu=16)
    sizes, controls, data = [], [], b""
    while made:
        length = int.from_bytes(made[2:6], "big")
        sizes.append(length)
        controls.append(made[11])
        data += made[12 : 6 + length]
        made = made[6 + length :]
    assert max(sizes) == 16
    assert controls == [0x03, 0x00, 0x00, 0x02]
    assert data == b"c" * 10 + b"d" * 25


@pytest.mark.wire
def test_the_raw_senders_store_what_they_are_given(here):
    paths = write_series(here.in_memory("series"), 4, 16)
    with receiver(here.on_disk("receiver")) as server:
        seconds = senders.raw(server, [paths[:2], paths[2:]])
        assert seconds > 0
        store.check_stored(server, pixel_digests(paths[0].parent))
        assert senders.one_by_one(server, [paths]) > 0


@pytest.mark.wire
def test_a_sender_says_so_where_nobody_accepts(here):
    with receiver(here.on_disk("receiver")) as server, pytest.raises(PeerFailed):
        senders.raw(Server("a", "", "NOT-ITS-TITLE", server.port, server.folder, server.pid), [[]])


@pytest.mark.wire
def test_the_raw_query_finds_the_studies_of_this_node(here):
    with servers.node(here.on_disk("node")) as server:
        senders.send_raw(server, [small_instances(3, 1)])
        everything = query.studies(query.find(server, query.study_query("")))
        one = query.studies(query.find(server, query.study_query(uid("study", ("fill", 1)))))
    assert everything == {(uid("study", ("fill", n)), f"P{n:06d}") for n in range(3)}
    assert one == {(uid("study", ("fill", 1)), "P000001")}


@pytest.mark.wire
def test_a_server_that_does_not_start_says_why(here):
    with (
        pytest.raises(PeerFailed, match="minimum_pdu"),
        servers.node(here.on_disk("node"), {"limits": {"minimum_pdu": 1}}),
    ):
        pass


def test_syncs_are_counted_from_the_summary_of_strace():
    summary = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000127         127        41           fdatasync
 40.00    0.000100         100         2         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.000227         127        43         1 total
"""
    assert counted(summary) == 43
    assert counted("") == 0


@pytest.mark.parametrize("offset", [2, None])
def test_engines_that_disagree_are_no_comparison(offset):
    planes = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    others = planes.copy() if offset is None else planes + np.int16(offset)
    ours = (plane[np.newaxis] for plane in planes)
    if offset is None:
        assert engines.compare(ours, iter([others])) == "equal within 1"
    else:
        with pytest.raises(ResultsDiffer, match="24 of 24 pixels"):
            engines.compare(ours, iter([others]))


def test_engines_that_make_another_number_of_planes_are_no_comparison():
    planes = np.zeros((3, 2, 2), np.int16)
    with pytest.raises(ResultsDiffer):
        engines.compare((plane[np.newaxis] for plane in planes), iter([planes[:2]]))


@pytest.mark.wire
@pytest.mark.parametrize("kind", [*lockout.KINDS, lockout.ALL_AT_ONCE])
def test_a_good_peer_is_told_from_those_that_stall(here, monkeypatch, kind):
    monkeypatch.setattr(lockout, "STALLED", 5)
    with receiver(here.on_disk("receiver")) as server:
        before = threading.active_count()
        with lockout.stalled_connections(server, kind):
            served = lockout.good_peer(server, small_instances(1, 1)[0], 60, 2)
        assert threading.active_count() == before
    assert (len(served.seconds), served.failed) == (2, 0)


def test_the_ceiling_of_a_client_is_told_where_it_is_below_the_floor():
    row = Row("ct-orthanc", "what", "Orthanc", SPEED, 2.5, 4)
    assert ceiling.note(row, "storescu", 100, 0.1, 0.2) == (
        "storescu alone reaches 1000 objects/s, 2 x Orthanc: the floor is out of its reach"
    )
    assert (
        ceiling.note(row, "storescu", 100, 0.1, 0.3) == "storescu alone reaches 1000 objects/s, 3 x Orthanc"
    )


def test_a_ceiling_is_the_best_after_one_that_does_not_count():
    costs = iter([0.5, 2.0, 1.0, 3.0, 4.0, 5.0])
    assert ceiling.best(lambda: next(costs)) == 1.0


@pytest.mark.foreign
@pytest.mark.skipif(shutil.which("storescp") is None, reason="DCMTK is not installed")
def test_what_a_ceiling_is_measured_with_takes_all_and_keeps_none(here):
    paths = write_series(here.in_memory("series"), 4, 16)
    folder = here.on_disk("ceiling")
    assert ceiling.of_client(senders.storescu, [paths[:2], paths[2:]], folder) > 0
    assert list(folder.iterdir()) == []


@pytest.fixture
def mute() -> Server:
    """A server that takes connections, as the kernel does for it, and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        yield Server("a", "", "A", listening.getsockname()[1], Path(), 0)


def test_a_peer_that_nobody_serves_has_waited_all_the_time(mute):
    served = lockout.good_peer(mute, ("1.2", b""), 0.1)
    assert (served.seconds, served.failed) == ((), 0)
    assert served.longest_wait_s >= 0.1
    cells = lockout.Line("a", "silent", lockout.Served((1.0,), 1, 0, 1), served).cells()
    assert (cells[2], cells[3], cells[4]) == ("1000.0 ms", "never", "-")


def test_a_peer_that_is_turned_away_has_failed():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Server("a", "", "A", closed.getsockname()[1], Path(), 0)
        served = lockout.good_peer(nobody, ("1.2", b""), 0.1)
    assert served.seconds == ()
    assert served.failed >= 1


def test_a_server_without_a_usual_time_is_told_with_its_deadline():
    line = lockout.Line("a", "silent", lockout.Served((), 0.75, 0, 0.75), lockout.Served((1.0,), 1, 0, 3))
    assert line.cells()[2:5] == ("not within 0.75 s", "1000.0 ms", "-")


class Immediate(threading.Event):
    """Nobody waits for this event."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_server_that_takes_no_byte_keeps_none_from_the_next():
    (full, silent), (open_, server) = socket.socketpair(), socket.socketpair()
    with full, silent, open_, server:
        full.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                full.send(bytes(1 << 16))
        full.setblocking(True)
        drip = threading.Thread(target=lockout._drip, args=([full, open_], b"ab", Immediate()), daemon=True)
        drip.start()
        server.settimeout(10)
        assert server.recv(1) + server.recv(1) == b"ab"
        drip.join()
