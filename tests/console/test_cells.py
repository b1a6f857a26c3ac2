"""What a delivered text becomes, and what is told about it."""

import re

import pytest

from tests.support.console_link import ConsoleUnderTest


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 + 1", 2),
        ("def double(x):\n    y = 2 * x\n    return y\ndouble(21)", 42),
        ("for i in range(3):\n    pass\nelse:\n    i = 7\ni", None),
        ("'é→日本 𝛼'", "é→日本 𝛼"),
        ("'a\tb'", "a\tb"),
        ("'''one\r\ntwo'''", "one\ntwo"),  # Python itself reads CR LF as LF
        ("   5", 5),
        ("'\x0c|\\x1b'", "\x0c|\x1b"),
        ("# only a comment", None),
        ("", None),
        (" \n\t\n", None),
        ("x = 3", None),
        ("%who_ls AttrDict", ["D", "M"]),
        ("M.m1.name", "M.m1"),
        ("x" * 0 + "len('" + "a" * 20_000 + "')", 20_000),
    ],
)
def test_text_becomes_its_result(console: ConsoleUnderTest, text: str, result: object) -> None:
    done = console.run(text)
    if text.startswith("for"):
        result = 7
    assert done["rep"] == {"err": "", "ret": result}
    assert done["text"] == text


@pytest.mark.parametrize(
    ("text", "code", "desc"),
    [
        ("1 / 0", "exc", "ZeroDivisionError: division by zero"),
        ("def f():", "exc", "SyntaxError: incomplete input (line 1)"),
        ("if True:\n    x = (1,", "exc", "SyntaxError"),
        ("raise SystemExit(3)", "exc", "SystemExit: 3"),
        ("raise ZError('my-code', 'said so')", "my-code", "said so"),
        ("raise KeyboardInterrupt", "interrupted", "Ctrl-C"),
        ("M['m1'].set('x').wait() and None or nonsense", "exc", ""),
        ("'\udc80'", "text-refused", "U+DC80"),
        ("x = '''a\n   \nb'''", "text-refused", "IPython would change its meaning"),
    ],
)
def test_error_comes_back_with_its_code(console: ConsoleUnderTest, text: str, code: str, desc: str) -> None:
    rep = console.run(text)["rep"]
    assert rep["err"] == code
    assert desc in rep["desc"]


def test_executed_text_is_the_sent_text(console: ConsoleUnderTest) -> None:
    for text in ("a = '\t x  '  ", "b = 1\n\n\n", "if 1:\n\tc = '\u2028|\x85'\n", "  d = 4\n  e = 5", "f = '\x01\x7f'"):
        done = console.run(text)
        assert done["rep"]["err"] == "", done
        executed = console.run(f"In[{done['n']}], get_ipython().history_manager.input_hist_raw[{done['n']}]")
        # IPython keeps its history without the last line feeds
        assert executed["rep"]["ret"][1] == text.rstrip("\n")


def test_cell_is_numbered_timed_and_signed(console: ConsoleUnderTest) -> None:
    first = console.run("6 * 7", origin="scan window", person="Ada")
    second = console.run("_")
    assert second["n"] == first["n"] + 1
    assert second["rep"]["ret"] == 42
    assert (first["origin"], first["person"], first["files"]) == ("scan window", "Ada", [])
    assert 0 <= first["duration_s"] < 5
    running = console.wait_for("cell/running", id=first["id"])
    assert (running["n"], running["text"]) == (first["n"], "6 * 7")
    assert "← scan window (Ada)" in console.text


def test_typed_cell_is_reported_without_an_id(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.type("'typed' + 'here'\r")
    done = console.wait_for("cell/done", since=since)
    assert (done["id"], done["origin"], done["text"]) == (None, "console", "'typed' + 'here'")
    assert done["rep"] == {"err": "", "ret": "typedhere"}


def test_run_is_marked_with_its_command(console: ConsoleUnderTest) -> None:
    done = console.run("RE(count([D.det], 2)) and RE.md['mamba']", origin="scan window", person="Ada")
    assert done["rep"]["ret"] == {
        "command": done["text"],
        "command_id": done["id"],
        "origin": "scan window",
        "person": "Ada",
    }
    start = console.wait_for_notice("scan/start", command_id=done["id"])
    assert start["detectors"] == ["D.det"]


def test_dotted_names_are_recorded_without_dots(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    assert console.run("RE(scan([D.det], M.m1, 0, 1, 3))")["rep"]["err"] == ""
    keys = console.wait_for_notice("scan/descriptor", since=since)["keys"]
    assert {"M_m1", "D_det"} <= set(keys)
    assert not any("." in key for key in keys)
    assert console.wait_for_notice("scan/point", since=since, n=3)["data"]["M_m1"] == 1
    assert console.run("M.m1.name, D.det.name")["rep"]["ret"] == ("M.m1", "D.det")


def test_logging_out_twice_is_the_paper_s_error(console: ConsoleUnderTest) -> None:
    refusal = {"err": "not-logged-in", "desc": "logout: nobody is logged in"}
    console.answer_requests(auth_logout=[{"err": "", "ret": None}, refusal])
    assert console.run("U.logout()")["rep"] == {"err": "", "ret": None}
    assert console.run("U.logout()")["rep"] == refusal


def test_devices_added_by_hand_are_told_after_the_cell(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.run("M.m3 = SynAxis(name='M.m3')")
    console.wait(
        lambda: any(m["typ"] == "state" and "M.m3" in m["devices"]["M"] for m in console.messages[since:]), "M.m3"
    )
    console.run("del M.m3")


def test_magics_say_what_goes_on(console: ConsoleUnderTest) -> None:
    state = {"control": {"enabled": True, "person": "Ada", "asked_by": "Bob"}, "waiting": []}
    console.answer_requests(
        state=[{"err": "", "ret": state}],
        session_clients=[{"err": "", "ret": []}],
        session_status=[{"err": "", "ret": {"joined": 1}}],
    )
    assert console.run("%mamba")["rep"]["err"] == ""
    console.wait(lambda: "control  Ada; Bob asks for it" in console.text, "%mamba")
    assert console.run("wa")["rep"]["err"] == ""
    console.wait(lambda: "waiting  0 commands" in console.text, "%mamba")
    console.wait(lambda: re.search(r"M\.m1 +\S+ +mm", console.text), "wa")
    assert console.run("U.history(1)[0]['text']")["rep"]["ret"] == "wa"


def test_one_hundred_thousand_characters_arrive(console: ConsoleUnderTest) -> None:
    assert console.run("big = '''" + "line of text\n" * 7700 + "'''\nlen(big)", 20)["rep"]["ret"] == 13 * 7700


def test_error_raised_on_purpose_is_shown_as_its_message(console: ConsoleUnderTest) -> None:
    text = "def fail():\n    raise ZError('my-code', 'said so on purpose')\nfail()"
    begin = len(console.text)
    console.run(text)
    shown = len(console.text)
    console.run("%tb")
    assert "ZError: said so on purpose" in console.text[begin:shown]
    assert "Traceback" not in console.text[begin:shown]
    console.wait(lambda: "Traceback" in console.text[shown:], "where it was raised")


def test_a_cell_whose_end_is_interrupted_is_answered_all_the_same(console: ConsoleUnderTest) -> None:
    """Ctrl-C between the end of the code and IPython's report of it leaves IPython without a report."""
    console.run(
        "events = get_ipython().events\n"
        "def interrupted(name, *args, **kwargs):\n"
        "    if name == 'post_execute':\n"
        "        del events.trigger\n"
        "        raise KeyboardInterrupt\n"
        "    return type(events).trigger(events, name, *args, **kwargs)\n"
    )
    number = console.deliver("events.trigger = interrupted")
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "interrupted"
    assert console.run("1 + 1")["rep"]["ret"] == 2
