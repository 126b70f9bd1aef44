// Lints the schema with @graphql-eslint's `schema-recommended` and prints the findings.
// Arguments: a file with SDL, and one with the definitions that it takes from elsewhere.
import graphqlPlugin from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const [file, definitions] = process.argv.slice(2);
const recommended = graphqlPlugin.configs["flat/schema-recommended"].rules;
const linter = new ESLint({
  cwd: process.cwd(),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ["**/*.graphql"],
      languageOptions: { parser: graphqlPlugin.parser, parserOptions: { graphQLConfig: { schema: [file, definitions] } } },
      plugins: { "@graphql-eslint": graphqlPlugin },
      rules: {
        ...recommended,
        // An id is a GUID for both vendors, and the scalar UUID refuses what is none; ID would take anything.
        "@graphql-eslint/strict-id-in-types": "off",
        // Two vendors' words: "customerId" of an access key is the vendor's own, and so is every name like it.
        "@graphql-eslint/no-typename-prefix": "off",
        // The names that the federation specification gives begin with one. A test sees to it that no others do.
        "@graphql-eslint/naming-convention": [
          "error",
          { ...recommended["@graphql-eslint/naming-convention"][1], allowLeadingUnderscore: true },
        ],
      },
    },
  ],
});
const [result] = await linter.lintFiles([file]);
console.log(
  JSON.stringify(result.messages.map(({ ruleId, message, line }) => `${ruleId ?? "fatal"}, line ${line}: ${message}`)),
);
