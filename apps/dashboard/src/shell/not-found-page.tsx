import { Button } from '@mantine/core'
import { Link } from 'react-router'
import { Notice } from '../common/notice.tsx'

export function NotFoundPage() {
  return (
    <Notice title="There is no such page">
      <Button component={Link} to="/runs" variant="light">
        Go to the runs
      </Button>
    </Notice>
  )
}
