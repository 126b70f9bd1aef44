// What both servers share: the resolver of the one mutation, and the vendor's spelling.
const SPELLING = { number: 'Number', paymentCondition: 'PaymentCondition', email: 'Email' };

export const wire = (input) =>
  Object.fromEntries(
    Object.entries(input).map(([name, value]) =>
      name === 'paymentCondition' && value ? [SPELLING[name], { Code: value.code }] : [SPELLING[name] ?? name, value],
    ),
  );

export const resolversOver = (backend) => ({
  Mutation: {
    async updateCustomer(_, { id, input, skipCreationInAccountingSystem }, context) {
      await backend(context).update(id, input, skipCreationInAccountingSystem);
      return { customer: { id, ...input } };
    },
  },
});
