"""The review pages as an analyst's hands use them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page


def keys(page: "Page", *pressed: str) -> None:
    """Press keys, one after the other."""
    for key in pressed:
        page.keyboard.press(key)


def name_them(page: "Page", name: str) -> None:
    """Say who the open group is: somebody new."""
    page.keyboard.press("n")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def saved(page: "Page") -> None:
    """Wait until the browser keeps no action any longer."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some((k) => k.startsWith('screenalyzer.desk.queue'))"
    )


def shown(page: "Page") -> dict[str, int]:
    """Screen time by name, as the list has it; without who has none."""
    rows: list[list[Any]] = page.locator(".roster .row").evaluate_all(
        "rows => rows.map((r) => [r.querySelector('.name').textContent, Number(r.dataset.screenMs)])"
    )
    return {name: ms for name, ms in rows if ms}
