// A page that uses the module of `python -m app typescript` and codegen's types, without a cast. Argument: the endpoint.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, fetchExchange } from "@urql/core";
import { GraphQLClient } from "graphql-request";

import {
  fieldErrors,
  gatewayErrors,
  isErrorReason,
  isGatewayErrorExtensions,
  MESSAGES,
  messageKey,
  toCustomerInput,
  toSupplierInput,
  type ErrorCode,
  type GatewayErrorExtensions,
  type Outcome,
  type UpdateSupplierInput,
} from "./gateway.js";
import { graphql } from "./generated/index.js";
import type { UpdateCustomerInput } from "./generated/graphql.js";

const [url = ""] = process.argv.slice(2);
const id = "c0000000-0000-4000-8000-000000000001";
const READ = graphql(`
  query Customer($id: UUID!) {
    customer(id: $id) {
      company { companyId }
      name code
      address { streetName streetNumber city postalCode country { code } }
      payCollectType { code }
      vatCode { code }
      vatNumber chamberOfCommerce phone fax
      bankAccounts { default externalId number iban bicCode bankName nationalBankCode country { code } }
      number
      paymentCondition { code }
      email
    }
  }
`);
const PART = graphql(`query Part($id: UUID!) { customer(id: $id) { name } }`);
const UPDATE = graphql(`
  mutation UpdateCustomer($id: UUID!, $input: UpdateCustomerInput!) {
    updateCustomer(id: $id, input: $input) { customer { id name email } }
  }
`);
const BOOKING = graphql(`
  mutation UpdateBooking($id: UUID!, $input: UpdateBookingCustomerInput!) {
    updateBookingCustomer(id: $id, input: $input) { bookingCustomer { id } }
  }
`);

const apollo = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
const urql = new Client({ url, exchanges: [fetchExchange], preferGetMethod: false });
const request = new GraphQLClient(url);

async function thrown(run: () => Promise<unknown>): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

const read = await request.request(READ, { id });
if (!read.customer) throw new Error("no customer");
const record: UpdateCustomerInput = toCustomerInput(read.customer);
const unchanged = await request.request(UPDATE, { id, input: record });
const wrong = { ...record, vatCode: { code: "NL99" } };
const variables = { id, input: wrong };
const invalid = { id: "no id", input: wrong };

const summary = (error: unknown) => ({
  fields: fieldErrors(error, "input"),
  reasons: gatewayErrors(error).map(({ extensions }) => extensions.reason),
  codes: gatewayErrors(error).map(({ extensions }): ErrorCode => extensions.code),
  outcomes: gatewayErrors(error).map(({ extensions }): Outcome | null => extensions.outcome ?? null),
});
const refusals = {
  apollo: summary(await thrown(() => apollo.mutate({ mutation: UPDATE, variables }))),
  urql: summary((await urql.mutation(UPDATE, variables).toPromise()).error),
  "graphql-request": summary(await thrown(() => request.request(UPDATE, variables))),
};
const requestErrors = {
  apollo: summary(await thrown(() => apollo.mutate({ mutation: UPDATE, variables: invalid }))),
  urql: summary((await urql.mutation(UPDATE, invalid).toPromise()).error),
  "graphql-request": summary(await thrown(() => request.request(UPDATE, invalid))),
};
const lost = new GraphQLClient("http://127.0.0.1:9/graphql");
const several = await thrown(() =>
  request.request(BOOKING, {
    id: "b0000000-0000-4000-8000-000000000001",
    input: { customFields: [{ id: 1, value: "" }] },
  }),
);

const extensions: unknown = gatewayErrors(several)[0]?.extensions;
if (!isGatewayErrorExtensions(extensions)) throw new Error("no extensions");
const typed: GatewayErrorExtensions = extensions;
if (!isErrorReason(typed.reason)) throw new Error("no reason");

const part = await request.request(PART, { id });
const supplier = (): UpdateSupplierInput =>
  toSupplierInput({
    company: { companyId: "a0000000-0000-4000-8000-000000000001" },
    name: "Anna Supplies",
    code: null,
    address: { streetName: null, streetNumber: null, city: null, postalCode: null, country: null },
    payCollectType: null,
    vatCode: { code: "NL21" },
    vatNumber: null,
    chamberOfCommerce: null,
    phone: null,
    fax: null,
    bankAccounts: [],
    paymentDiscount: {
      paymentDays: 8,
      discountPercentage: "2.50",
      discountCalculationMethod: null,
      generalLedger: { code: null },
    },
    number: "",
    paymentCondition: null,
    email: null,
    metadata: { colour: "red" },
  });

console.log(
  JSON.stringify({
    unchanged: unchanged.updateCustomer?.customer?.name === read.customer.name,
    input: record,
    refusals,
    requestErrors,
    lost: gatewayErrors(await thrown(() => lost.request(PART, { id }))).length,
    fullPath: Object.keys(fieldErrors(several)),
    message: MESSAGES[messageKey(typed.reason)],
    userErrors: fieldErrors([{ message: "Wrong.", inputPath: ["input", "name"] }, { message: "Late.", inputPath: null }]),
    supplier: supplier(),
    // @ts-expect-error the query did not select what an update would otherwise clear
    notSelected: String(await thrown(async () => toCustomerInput(part.customer ?? {}))),
    noCompany: String(await thrown(async () => toCustomerInput({ ...read.customer!, company: null }))),
  }),
);
