
/** `extensions` of an error of the gateway. A member that does not apply is left out. */
export interface GatewayErrorExtensions {
  code: ErrorCode;
  /** May grow: treat one that you do not know by its `code`. */
  reason: ErrorReason;
  /** The backend that answered; `name` alone when it could not be reached. */
  backend?: { name: string; status?: number; code?: string; message?: string };
  /** The place in the mutation's arguments. */
  input?: { path: (string | number)[] };
  /** Whether the write happened. With UNKNOWN, read the record before you send the mutation again. */
  outcome?: Outcome;
  retry?: { safe?: boolean; afterSeconds?: number };
  readBack?: ReadBack;
  requestId: string;
}

export interface GatewayError {
  message: string;
  path?: readonly (string | number)[];
  extensions: GatewayErrorExtensions;
}

/** Where Apollo Client, urql and graphql-request keep the errors of a response, and its body when they did not read it. */
const PLACES = ["errors", "graphQLErrors", "response", "networkError", "result", "bodyText"];

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(value);
}

/** False for a reason that a newer gateway added. */
export function isErrorReason(value: unknown): value is ErrorReason {
  return (ERROR_REASONS as readonly unknown[]).includes(value);
}

export function isOutcome(value: unknown): value is Outcome {
  return (OUTCOMES as readonly unknown[]).includes(value);
}

export function isGatewayErrorExtensions(value: unknown): value is GatewayErrorExtensions {
  return isObject(value) && isErrorCode(value["code"]) && typeof value["reason"] === "string";
}

export function isGatewayError(value: unknown): value is GatewayError {
  return isObject(value) && typeof value["message"] === "string" && isGatewayErrorExtensions(value["extensions"]);
}

/** The gateway's errors in what a client threw or returned; none if it could not read an answer. */
export function gatewayErrors(thrown: unknown): GatewayError[] {
  return search(thrown, isGatewayError);
}

function search<T>(thrown: unknown, matches: (value: unknown) => value is T): T[] {
  const seen = new Set<unknown>();
  const matching: T[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === "string") {
      try {
        value = JSON.parse(value) as unknown;
      } catch {
        return;
      }
    }
    if (!isObject(value) || seen.has(value)) return;
    seen.add(value);
    if (matches(value)) matching.push(value);
    else if (Array.isArray(value)) value.forEach(visit);
    else {
      for (const place of PLACES) visit(value[place]);
      if (matching.length === 0) visit(value["cause"]);
    }
  };
  visit(thrown);
  return matching;
}

interface UserErrorOfField {
  message: string;
  inputPath: readonly (string | number)[] | null;
}

function isUserError(value: unknown): value is UserErrorOfField {
  return isObject(value) && typeof value["message"] === "string" && "inputPath" in value;
}

/**
 * Messages by input path ("input.vatCode.code"), for a form. Takes what a client threw, or a payload's `userErrors`.
 * `below` leaves a beginning of the paths out: with "input", the key is "vatCode.code". Messages without a path, and
 * those of another beginning, are under "".
 */
export function fieldErrors(thrown: unknown, below = ""): Record<string, string[]> {
  const messages: Record<string, string[]> = {};
  const matches = (value: unknown): value is GatewayError | UserErrorOfField => isGatewayError(value) || isUserError(value);
  const errors = search(thrown, matches);
  for (const error of errors) {
    const place = ("extensions" in error ? error.extensions.input?.path : error.inputPath) ?? [];
    let key = place.join(".");
    if (below !== "") key = key.startsWith(`${below}.`) ? key.slice(below.length + 1) : "";
    (messages[key] ??= []).push(error.message);
  }
  return messages;
}

/** The key of a reason's text in a file of translations; `MESSAGES` is that file in English. */
export type MessageKey = `gateway.${ErrorReason}`;

export function messageKey(reason: ErrorReason): MessageKey {
  return `gateway.${reason}`;
}

interface Member {
  required?: true;
  members?: Members;
}
type Members = { [name: string]: Member };

/** A member that was not selected would be cleared by a backend that replaces the record, so it is an error here. */
function asInput(members: Members, record: unknown, place: string): Record<string, unknown> {
  if (!isObject(record)) throw new TypeError(`${place} is not a record.`);
  const input: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(members)) {
    const value = record[name];
    const here = `${place}.${name}`;
    if (value === undefined) throw new TypeError(`${here} is not selected. Without it, the update would clear it.`);
    if (value === null || (member.members && !Array.isArray(value) && isEmpty(member.members, value))) {
      if (member.required) throw new TypeError(`${here} is null, and an update needs it.`);
    } else if (!member.members) input[name] = value;
    else if (Array.isArray(value)) {
      const nested = member.members;
      input[name] = value.map((item, position) => asInput(nested, item, `${here}.${position}`));
    } else input[name] = asInput(member.members, value, here);
  }
  return input;
}

/** Whether all members are null: `{ code: null }` says no more than null. */
function isEmpty(members: Members, value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.entries(members).every(
    ([name, member]) => value[name] === null || (member.members !== undefined && isEmpty(member.members, value[name])),
  );
}
