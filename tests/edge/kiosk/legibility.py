"""Measures a shown page by script: sizes, gaps, contrast, and whether anything is cut off."""

from __future__ import annotations

from playwright.sync_api import Page

# Least sizes in CSS pixels; a target of 72 is 15 mm on a 10-inch panel.
LARGE = {"TEXT": 28, "TARGET": 72, "GAP": 16}
# On a panel of 480 px or less: 11 mm on a 7-inch one of 800x480.
SMALL = {"TEXT": 22, "TARGET": 56, "GAP": 12}
SMALL_PANEL_PX = 480
CONTRAST = 7.0  # WCAG 2.2, 1.4.6 (AAA)

# A gradient is judged by its worst stop. Opacity and text over pictures do not occur.
_MEASURE = """() => {
    const layer = document.querySelector("dialog[open]") ?? document.body;
    const seen = (element) => element.checkVisibility() && element.getBoundingClientRect().width;
    const scrolls = (element) => element.closest(".tiles, .lines, dl");
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
        const [r, g, b] = channels(color).map((value) => value / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const grounds = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const { backgroundColor, backgroundImage } = getComputedStyle(each);
            const stops = backgroundImage.match(/rgba?\\([^)]*\\)/g) ?? [];
            const found = [backgroundColor, ...stops].filter((color) => channels(color)[3] !== 0);
            if (found.length) return found;
        }
        return ["rgb(255, 255, 255)"];
    };
    const name = (element) => `${element.tagName}.${element.className} ${element.textContent}`;
    const texts = [...layer.querySelectorAll("*")].filter((element) => seen(element)
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    const buttons = [...layer.querySelectorAll("button")].filter(seen);
    const wrong = [];
    for (const text of texts) {
        const style = getComputedStyle(text);
        if (parseFloat(style.fontSize) < TEXT) wrong.push(`small text: ${name(text)}`);
        const lights = grounds(text).map(luminance);
        const own = luminance(style.color);
        const ratio = Math.min(...lights.map((light) =>
            (Math.max(own, light) + 0.05) / (Math.min(own, light) + 0.05)));
        if (ratio < CONTRAST) wrong.push(`contrast ${ratio.toFixed(2)}: ${name(text)}`);
        if (text.scrollWidth > text.clientWidth + 1 && text.clientWidth) {
            wrong.push(`text runs over: ${name(text)}`);
        }
    }
    const boxes = buttons.map((button) => button.getBoundingClientRect());
    buttons.forEach((button, index) => {
        const box = boxes[index];
        if (box.width < TARGET || box.height < TARGET) {
            wrong.push(`small target ${box.width}x${box.height}: ${name(button)}`);
        }
        boxes.slice(0, index).forEach((other, place) => {
            if (scrolls(button) !== scrolls(buttons[place])) return;
            const gap = Math.max(other.left - box.right, box.left - other.right,
                other.top - box.bottom, box.top - other.bottom);
            const pair = `${name(button)} / ${name(buttons[place])}`;
            if (gap < GAP - 0.5) wrong.push(`gap ${gap}: ${pair}`);
        });
    });
    for (const element of [...buttons, ...texts].filter((each) => !scrolls(each))) {
        const box = element.getBoundingClientRect();
        const inside = box.left >= 0 && box.top >= 0
            && box.right <= innerWidth + 0.5 && box.bottom <= innerHeight + 0.5;
        if (!inside) wrong.push(`cut off: ${name(element)}`);
        const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
        const top = document.elementFromPoint(...middle);
        if (inside && !(element.contains(top) || top?.contains(element))) {
            wrong.push(`covered by ${name(top)}: ${name(element)}`);
        }
    }
    for (const list of [...document.querySelectorAll("dl")].filter(seen)) {
        if (list.scrollHeight > list.clientHeight + 1) wrong.push("facts are cut off");
    }
    return { wrong, texts: texts.length, buttons: buttons.length };
}"""


def illegible(page: Page) -> list[str]:
    """What is too small, too near, too pale, cut off or covered on the page as it is now."""
    size = page.viewport_size
    assert size is not None
    small = min(size["width"], size["height"]) <= SMALL_PANEL_PX
    limits = {**(SMALL if small else LARGE), "CONTRAST": CONTRAST}
    declared = "".join(f"const {name} = {value};" for name, value in limits.items())
    measured = page.evaluate(_MEASURE.replace("() => {", "() => {" + declared, 1))
    assert measured["texts"] >= 2, "nothing was measured"
    return [str(each) for each in measured["wrong"]]
