// The page: what the agent says (a view) and what the person chose here (basket, language), drawn.

import { listen, seen, send } from "./link.js";
import { button, fillWhenChanged, icon, make, write } from "./parts.js";
import { play } from "./sound.js";

const IDLE_MS = 40_000; // nobody touched anything for so long: ask
const COUNTDOWN_MS = 10_000; // so long the question stands before the page starts over
const RETRY_MS = 1_000;
const RESULT_MS = 6_000; // where the agent does not say how long a result lasts
const LONGER_MS = 20_000;
const NOTICE_MS = 8_000;
const TICK_MS = 250;
const PIECES_MAX = 99;
const FIRST_LANGUAGE = "zh";
const TAGS = { zh: "zh-CN", en: "en" };
const DRAWINGS = { sale: "yes", top_up: "coins", void: "return" };

const $ = (selector) => document.querySelector(selector);
const texts = await load("texts.json");
const drawn = [...document.querySelectorAll("symbol[id^=p-]")].map((symbol) => symbol.id.slice(2));

const state = {
  view: null,
  lost: true,
  language: FIRST_LANGUAGE,
  basket: new Map(), // sku -> pieces
  toppingUp: false,
  short: false, // the last card had too little for the basket
  placed: null, // body of the page's own order
  result: null, // {view, until}: shown until then, whatever the agent does meanwhile
  news: "", // the last result that sounded
  endsAt: null, // when the agent ends the phase
  touchedAt: performance.now(),
  notice: null, // {text, until} of an action that failed
  printed: "", // the order whose receipt was asked for
};

/** The agent may be just starting. */
async function load(address) {
  for (;;) {
    const response = await fetch(address).catch(() => null);
    if (response?.ok) return response.json();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

// ---- drawing -------------------------------------------------------------------------------

const said = (text) => text?.[state.language] ?? "";
const label = (key) => said(texts[key]);

function money(amount) {
  const { symbol, places } = state.view.shop.currency;
  const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
  return symbol + (amount / 10 ** places).toLocaleString("en-US", digits);
}

function picture(sku) {
  return drawn.includes(sku) ? sku : (drawn.find((word) => sku.includes(word)) ?? "item");
}

function drawTiles({ tiles }) {
  fillWhenChanged($(".tiles"), [state.language, tiles], () =>
    tiles.map((tile, index) => {
      const name = make("span", "name", said(tile.name));
      const count = make("span", "count");
      const parts = [icon(`p-${picture(tile.sku)}`), name, make("span", "price", tile.shown), count];
      const add = () => change(tile.sku, 1);
      const tileButton = button(`tile tint-${index % 6}`, tile.sku, "", add, ...parts);
      return make("li", "", tileButton);
    }),
  );
  for (const tile of document.querySelectorAll(".tile")) {
    const pieces = state.basket.get(tile.dataset.key);
    write(tile.querySelector(".count"), pieces ? `× ${pieces}` : "");
  }
}

function drawBasket({ tiles, currency, top_ups: topUps }) {
  const chosen = tiles.filter((tile) => state.basket.has(tile.sku));
  $("#invitation").hidden = chosen.length > 0;
  $("#basket").hidden = chosen.length === 0;
  $("#open-top-up").hidden = topUps.length === 0;
  $("#basket-top-up").hidden = !state.short || topUps.length === 0;
  const pieces = chosen.map((tile) => [tile, state.basket.get(tile.sku)]);
  fillWhenChanged($("#basket .lines"), [state.language, pieces, currency], () =>
    pieces.map(([tile, count]) => {
      const name = said(tile.name);
      const less = () => change(tile.sku, -1);
      const more = () => change(tile.sku, 1);
      return make(
        "li",
        "",
        make("span", "name", name),
        make("span", "price", money(tile.price * count)),
        button("square", `less ${tile.sku}`, `${label("page.take")} ${name}`, less, icon("i-minus")),
        make("span", "pieces", String(count)),
        button("square", `more ${tile.sku}`, `${label("page.add")} ${name}`, more, icon("i-plus")),
      );
    }),
  );
  write($("#total"), money(pieces.reduce((sum, [tile, count]) => sum + tile.price * count, 0)));
}

function drawAmounts({ top_ups: topUps }) {
  fillWhenChanged($(".amounts"), topUps, () =>
    topUps.map(({ amount, shown }) =>
      make("li", "", button("amount-tile", shown, "", () => place({ top_up: amount }), shown)),
    ),
  );
}

function drawPicture(parent, name) {
  if (parent.dataset.picture === name) return;
  parent.dataset.picture = name;
  const template = $(`#drawing-${DRAWINGS[name] ?? name}`);
  parent.replaceChildren(template.content.cloneNode(true));
}

function drawPanel({ panel, phase, own, shop, receipt }) {
  const section = $("#said");
  section.dataset.tone = panel.tone;
  section.dataset.phase = phase;
  drawPicture($("#picture"), panel.picture);
  write(section.querySelector("h1"), said(panel.title));
  write(section.querySelector(".amount"), panel.amount);
  for (const part of ["text", "todo", "note"]) {
    write(section.querySelector(`.${part}`), said(panel[part]));
  }
  const rows = section.querySelector("dl");
  rows.hidden = panel.rows.length === 0;
  fillWhenChanged(rows, [state.language, panel.rows], () =>
    panel.rows.map((row) =>
      make("div", "", make("dt", "", said(row.label)), make("dd", "", said(row.value))),
    ),
  );
  $("#cancel").hidden = !(phase === "waiting_card" && own);
  $("#said-top-up").hidden = !panel.top_up || shop.top_ups.length === 0;
  const asked = receipt && state.printed === receipt;
  write($("#receipt"), asked ? label("page.receipt_comes") : label("page.receipt"));
  $("#receipt").disabled = asked;
  $("#receipt").hidden = phase !== "result" || !receipt;
  $("#done").hidden = $("#longer").hidden = $("#left").hidden = phase !== "result";
}

function drawNotice() {
  const text = state.notice ? said(state.notice.text) : said(state.view?.notice);
  write($("#notice span"), text);
  $("#notice").hidden = !text || state.lost;
}

function shownView() {
  const { view, result } = state;
  if (state.lost || !view) return null;
  return result && (view.phase === "result" || view.phase === "attract") ? result.view : view;
}

function section(view) {
  if (!view) return "moment";
  const attracting = view.phase === "attract" || (view.phase === "result" && !state.result);
  if (!attracting) return "said";
  return state.toppingUp && view.shop.top_ups.length ? "top-up" : "shop";
}

function draw() {
  document.documentElement.lang = TAGS[state.language];
  const terminal = state.view?.terminal ?? "";
  document.title = [label("page.title"), terminal].filter(Boolean).join(" · ");
  write($("#terminal"), terminal);
  const other = state.language === "zh" ? "en" : "zh";
  const language = $("#language span");
  language.lang = TAGS[other];
  write(language, label("page.language"));
  for (const each of document.querySelectorAll("[data-text]")) {
    const text = label(each.dataset.text);
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of document.querySelectorAll("[data-label]")) {
    each.setAttribute("aria-label", label(each.dataset.label));
  }
  const view = shownView();
  if (view) drawView(view);
  drawNotice();
  show(section(view));
}

function drawView(view) {
  write($("#offline span"), said(state.view.offline));
  $("#offline").hidden = !state.view.offline;
  drawTiles(state.view.shop);
  drawBasket(state.view.shop);
  drawAmounts(state.view.shop);
  drawPicture($("#invitation .picture"), "tap");
  if (section(view) === "said") drawPanel(view);
}

/** Shows one section; a new one gets the focus, so that it is read out. */
function show(id) {
  const before = document.body.dataset.shown;
  const place = id === "said" ? `${id} ${shownView().phase} ${state.news}` : id;
  for (const each of document.querySelectorAll("main > section")) each.hidden = each.id !== id;
  $("#offline").hidden ||= id === "moment";
  if (before === place) return;
  document.body.dataset.shown = place;
  $(`#${id} h1`).focus({ preventScroll: true });
}

// ---- what the person does ------------------------------------------------------------------

function change(sku, by) {
  const pieces = Math.min((state.basket.get(sku) ?? 0) + by, PIECES_MAX);
  if (pieces > 0) state.basket.set(sku, pieces);
  else state.basket.delete(sku);
  state.short &&= state.basket.size > 0;
  draw();
  $(`#basket [data-key="${CSS.escape(`more ${sku}`)}"]`)?.closest("li").scrollIntoView({ block: "nearest" });
}

async function attempt(action) {
  try {
    state.notice = null;
    await action();
  } catch (error) {
    const text = texts[`reason.${error.message}`] ?? texts["page.try_again"];
    state.notice = { text, until: performance.now() + NOTICE_MS };
    play("no");
  }
  draw();
}

function place(wanted) {
  const order = `kiosk-${crypto.randomUUID()}`;
  state.placed = { order, ...wanted };
  return attempt(() => send("kiosk/order", state.placed));
}

function pay() {
  const items = [...state.basket].map(([sku, quantity]) => ({ sku, quantity }));
  return place({ items });
}

function topUp() {
  state.result = null;
  state.toppingUp = true;
}

function cancel() {
  const order = state.view.order;
  return attempt(() => send("kiosk/cancel", { order }));
}

async function askReceipt() {
  const order = state.result.view.receipt;
  state.printed = order; // a second touch would be a second piece of paper
  state.result.until = Math.max(state.result.until, performance.now() + RESULT_MS);
  await attempt(() => send("kiosk/receipt", { order }));
  if (state.notice) state.printed = "";
}

function forgetChoice() {
  state.basket.clear();
  state.short = false;
  state.toppingUp = false;
  $(".tiles").scrollTop = 0;
}

function startOver() {
  if (state.view?.own) cancel();
  forgetChoice();
  state.placed = null;
  state.language = FIRST_LANGUAGE;
  draw();
}

function stay() {
  state.touchedAt = performance.now();
  $("#still-there").close();
  if (state.view?.own && state.placed) attempt(() => send("kiosk/order", state.placed));
}

function on(selector, action) {
  $(selector).addEventListener("click", () => {
    action();
    draw();
  });
}

on("#language", () => (state.language = state.language === "zh" ? "en" : "zh"));
on("#pay", pay);
on("#clear", forgetChoice);
for (const each of ["#open-top-up", "#basket-top-up", "#said-top-up"]) on(each, topUp);
on("#close-top-up", () => (state.toppingUp = false));
on("#cancel", cancel);
on("#done", () => (state.result = null));
on("#receipt", askReceipt);
on("#longer", () => (state.result.until += LONGER_MS));
on("#still-here", stay);
$("#still-there").addEventListener("cancel", stay);
for (const event of ["pointerdown", "keydown"]) {
  addEventListener(event, () => (state.touchedAt = performance.now()), true);
}

// ---- time ----------------------------------------------------------------------------------

/** When the page starts over for want of a person; null when there is nothing to start over. */
function abandonedAt() {
  const { view, basket, toppingUp, language, touchedAt, result } = state;
  if (!view || state.lost || result) return null;
  const byTouch = touchedAt + IDLE_MS + COUNTDOWN_MS;
  if (view.phase === "waiting_card") return view.own ? (state.endsAt ?? byTouch) : null;
  if (view.phase !== "attract" && view.phase !== "result") return null;
  return basket.size || toppingUp || language !== FIRST_LANGUAGE ? byTouch : null;
}

function askWhetherThere(now) {
  const dialog = $("#still-there");
  const left = (abandonedAt() ?? Infinity) - now;
  if (left > COUNTDOWN_MS) {
    if (dialog.open) dialog.close();
  } else if (left > 0) {
    const seconds = String(Math.ceil(left / 1000));
    write($("#still-count"), label("page.still_there_text").replace("{seconds}", seconds));
    if (!dialog.open) dialog.showModal();
  } else {
    dialog.close();
    startOver();
  }
}

function tick() {
  const now = performance.now();
  askWhetherThere(now);
  if (state.notice && now > state.notice.until) state.notice = null;
  if (state.result) {
    const { until, from } = state.result;
    const share = Math.max(0, (until - now) / Math.max(until - from, 1));
    $("#left span").style.transform = `scaleX(${share.toFixed(3)})`;
    if (now >= until) state.result = null;
  }
  draw();
}

// ---- what the agent says -------------------------------------------------------------------

function takeResult(view) {
  if (view.news === state.news) {
    if (state.result) state.result.view = view;
    return;
  }
  const now = performance.now();
  const lasts = view.lasts_s * 1000 || RESULT_MS;
  state.news = view.news;
  state.result = { view, from: now, until: now + lasts };
  settle(view.panel);
  state.placed = null;
  play(view.panel.tone);
}

/** What a result leaves of the choice: a sale nothing, whoever placed it; who paid in goes on. */
function settle({ tone, picture, top_up: isShort }) {
  if (tone === "no") state.short ||= isShort;
  else if (picture === "sale") forgetChoice();
  else if (picture === "top_up") state.toppingUp = state.short = false;
}

function take(view, stamp) {
  const noticed = said(state.view?.notice);
  state.view = view;
  state.lost = false;
  state.endsAt = view.lasts_s ? performance.now() + view.lasts_s * 1000 : null;
  if (view.phase === "result") takeResult(view);
  else if (view.phase !== "attract") state.result = null;
  for (const sku of state.basket.keys()) {
    if (!view.shop.tiles.some((tile) => tile.sku === sku)) state.basket.delete(sku);
  }
  if (view.notice && said(view.notice) !== noticed) play("no");
  draw();
  document.body.dataset.revision = view.revision;
  seen(stamp);
}

function lose() {
  state.lost = true;
  draw();
}

draw();
listen(take, lose);
setInterval(tick, TICK_MS);
