/**
 * Every page of a list, one at a time. A page that cannot be had ends it with an error, and so does a list that never
 * ends: part of a list must not be taken for all of it.
 */
export async function* pagesOf<Page extends { NextToken?: string | undefined }>(
  fetchPage: (token: string | undefined) => Promise<Page>,
): AsyncGenerator<Page> {
  const seen = new Set<string>()
  let token: string | undefined
  for (;;) {
    const page = await fetchPage(token)
    yield page
    token = page.NextToken
    if (token === undefined || token === '') return
    if (seen.has(token)) throw new Error(`EC2 gave the same page twice: its list has no end`)
    seen.add(token)
  }
}
